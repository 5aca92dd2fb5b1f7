package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/obs"
)

// command is what follows the flags.
type command struct {
	demo, stay bool
	worker     string   // worker configuration
	connectors []string // connector files
}

// parseCommand reads what follows the flags. workerFile is what -worker-config says.
func parseCommand(args []string, workerFile string) (c command, err error) {
	c.worker = workerFile
	if len(args) == 0 {
		return c, nil
	}
	word, rest := args[0], args[1:]
	switch word {
	case "demo":
		c.demo, c.stay = true, len(rest) == 1 && rest[0] == "-stay"
		if len(rest) > 0 && !c.stay {
			return c, fmt.Errorf("unknown arguments %q after \"demo\": only -stay may follow it", rest)
		}
		return c, nil
	case "standalone", "distributed":
		if len(rest) == 0 {
			return c, fmt.Errorf("%q needs the file of a worker configuration after it", word)
		}
		if workerFile != "" {
			return c, errors.New("the worker configuration is given twice, with -worker-config and after the word " + word)
		}
		c.worker, c.connectors = rest[0], rest[1:]
		if word == "distributed" && len(c.connectors) > 0 {
			return c, fmt.Errorf("unknown arguments %q: connectors of a distributed worker are made over the REST API", c.connectors)
		}
		return c, nil
	}
	return c, fmt.Errorf("unknown arguments %q: demo, standalone or distributed may follow the flags", args)
}

// readConnectors reads connector files. As in Kafka Connect one that can't be read ends the process with code 3.
func readConnectors(files []string, log *slog.Logger) (all []workerconfig.Connector, err error) {
	for _, f := range files {
		c, err := workerconfig.ReadConnector(f)
		if err != nil {
			obs.Named(log, obs.LogHerder).Error("Stopping after connector error", slog.String("file", f), slog.Any(obs.KeyErr, err))
			return nil, exitcode.Missing(err)
		}
		all = append(all, c)
	}
	return all, nil
}
