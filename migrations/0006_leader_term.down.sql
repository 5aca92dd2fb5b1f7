DROP INDEX leader_term;
