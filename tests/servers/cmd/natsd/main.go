// Command natsd is a NATS server with JetStream in a process of its own, for tests that kill it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/millrace/millrace/embedded/natsembed"
)

func main() {
	port := flag.Int("port", -1, "port on 127.0.0.1")
	data := flag.String("data", "", "folder for streams")
	flag.Parse()
	if err := run(*port, *data); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(port int, data string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	srv, err := natsembed.Start(ctx, natsembed.Options{Port: port, DataDir: data})
	if err != nil {
		return err
	}
	fmt.Println(srv.URL())
	<-ctx.Done()
	return srv.Close(context.WithoutCancel(ctx))
}
