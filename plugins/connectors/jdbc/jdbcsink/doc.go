// Package jdbcsink writes records to tables of a database: insert, upsert, update and, for tombstones, delete. It can create
// tables and add columns.
//
// One Put is one transaction. It goes in three steps, each in its own file:
//
//  1. plan.go checks the records, finds each one's table and shape (shape.go: which columns, from where), and makes the tables fit
//     (structure.go, ddl.go). Changes of tables are their own transactions, before any row is written.
//  2. write.go sends the rows: runs of records with one shape, in order, in statements of many rows (statement.go, postgres.go).
//  3. task.go commits, or decides what an error means: try again, set records aside, or fail. Bad records are found by halving,
//     between savepoints of the same transaction, so that one bad record costs one record.
//
// bind.go makes parameters of values. Start reading at task.Put.
package jdbcsink
