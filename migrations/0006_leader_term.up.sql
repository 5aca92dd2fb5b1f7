-- Makes term a key, so that a new term waits for the plans of the one before, which hold FOR KEY SHARE, while renewals pass.
CREATE UNIQUE INDEX leader_term ON leader (term);
