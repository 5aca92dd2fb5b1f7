// Package oracledb stands in for go-ora and an Oracle database in tests, as none can be had: it gives what that driver gives for
// each type (its names of types, precisions and scales, numbers as texts, times in the server's zone) and refuses what Oracle
// refuses, over SQLite. Not the protocol, nor what the driver makes of parameters, is seen by tests with it.
package oracledb
