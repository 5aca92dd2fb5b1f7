package jdbcsource

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// mostRecommended bounds the names in an answer.
const mostRecommended = 2000

// lookTime bounds a look at the tables for a configuration that is no good anyway.
const lookTime = 5 * time.Second

// Recommend implements connector.Recommender: the tables that table.whitelist and table.blacklist can name.
func (c *jdbcConnector) Recommend(ctx context.Context, props map[string]string) map[string][]string {
	if !c.asked {
		s, _ := parse(c.def, props)
		if strings.TrimSpace(s.String(urlKey)) == "" {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, lookTime)
		defer cancel()
		open, err := c.open(ctx, s, props, slog.New(slog.DiscardHandler), true)
		if err != nil {
			return nil
		}
		defer func() { _ = open.close() }()
		c.look(ctx, open, s)
	}
	if c.known == nil {
		return nil
	}
	return map[string][]string{whitelistKey: c.known, blacklistKey: c.known}
}

// look learns the names of the tables. An error is no news: whoever needs the tables meets it.
func (c *jdbcConnector) look(ctx context.Context, open session, s *settings) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	all, err := open.tables(ctx, s)
	if err == nil {
		c.known = listed(all)
	}
}

// listed are the names by which lists can have tables: the name alone, as in Java's connector, but where several tables have it.
func listed(all []table) []string {
	bare, of := grouped(all, func(t table) string { return t.name })
	names := make([]string, 0, len(all))
	for _, n := range bare {
		if len(of[n]) == 1 {
			names = append(names, n)
			continue
		}
		for _, t := range of[n] {
			names = append(names, t.String())
		}
	}
	slices.Sort(names)
	return names[:min(len(names), mostRecommended)]
}
