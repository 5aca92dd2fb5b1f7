// Package childproc runs server programs as children that cannot outlive us.
//
// A server started by a test or by the all-in-one process must not stay behind
// when that process is killed: it would hold its port and its data folder and
// block the next start. The kernel can do the cleaning (Pdeathsig on Linux),
// but it watches the *thread* that started the child, so the thread has to be
// kept; Start does that. The package also answers two questions that come with
// it: under which identity a program that refuses root may run (Identity), and
// which TCP port is free and will stay free (FreePort).
//
// Start reading at Start.
package childproc
