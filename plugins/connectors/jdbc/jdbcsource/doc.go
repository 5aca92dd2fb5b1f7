// Package jdbcsource reads tables of a database, or one query, at an interval and makes a record of each row: Confluent's
// JdbcSourceConnector and Aiven's.
//
// What is decided without a database is in keys.go and settings.go (the configuration), validate.go (relations between keys),
// tables.go (which tables, and for which task), statement.go (the query of a mode), offset.go (partitions, offsets, and which
// may be written when), clock.go (time zones and calendars), columns.go and temporal.go (a column as a field, a value of it as
// a value of the record). session.go says what is asked of a database; sqlsession.go, postgres.go, mysql.go and sqlite.go answer.
// monitor.go looks for tables, connector.go divides them; task.go starts reader.go, which runs queries one after another.
//
// Start reading at reader.run.
package jdbcsource
