// Package connect opens the session of a JDBC task: it has the connection.* keys, maps what Java's drivers read from URLs and
// properties to the Go drivers, and tries again as the keys say.
//
// Keys has the definitions, Read makes Settings of a configuration, New a Provider of them. A Provider has one session and no
// more, as people count on the number of sessions; Conn gives it, checked, and opens another when it is dead.
package connect
