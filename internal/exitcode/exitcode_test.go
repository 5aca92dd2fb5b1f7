package exitcode

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOf(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"no error is a wanted stop":              {nil, OK},
		"a cancelled context is a wanted stop":   {fmt.Errorf("serving: %w", context.Canceled), OK},
		"any other error is our fault":           {boom, Fault},
		"input errors keep their code wrapped":   {fmt.Errorf("starting: %w", Input(boom)), BadInput},
		"missing things keep their code wrapped": {fmt.Errorf("starting: %w", Missing(boom)), Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, Of(c.err))
		})
	}
	require.NoError(t, Input(nil))
	require.ErrorIs(t, Input(boom), boom)
}
