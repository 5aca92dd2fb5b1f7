// Package jdbc is the room of the connectors that have JDBC in their Java names. It has no code; its packages are, from the
// bottom up:
//
//   - jdbcurl reads the URLs that Java's drivers take and hides their secrets (Mask).
//   - zone reads Java's names of time zones, and turns instants into wall clocks with the calendar that Java would use.
//   - dialect is what differs between databases for everybody: quoting, parsing of table names, marks of parameters, reading of
//     the catalog (Tables, Table with columns and unique keys), and the classes of errors.
//   - connect has the configuration keys that sink and source share, and Provider: it chooses driver and dialect, opens the one
//     session of a task, tries again as the keys say, and finds out when the session is dead.
//   - jdbcsink is the sink connector, jdbcsource the source connector. Statements that only one of them needs are there.
//
// Everything runs over database/sql with one *sql.Conn; what a driver can do beyond that is reached with its Raw method (for
// PostgreSQL, *pgx.Conn by connect.Postgres).
package jdbc
