// Package sqlserver stands in for a SQL Server in tests, as none can be had: it speaks the server's protocol (TDS 7.4) with real
// drivers, and runs the statements that the JDBC connectors write, and simple ones of tests, on SQLite. Types of columns, their
// texts and bytes on the wire, numbers of errors, transactions, the limits of statements and what a doomed transaction does are
// the server's; plans, locks and the rest of its SQL are not here.
package sqlserver
