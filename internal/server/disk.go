package server

import (
	"errors"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"parkd/internal/config"
	"parkd/internal/store"
)

// openStore opens the journal of a configuration. A file that is damaged is no
// reason not to start: it is set aside.
func openStore(c *config.Config, release string, log zerolog.Logger) (store.Store, error) {
	if c.Store.Kind == "memory" {
		return store.NewMemory(), nil
	}
	if err := os.MkdirAll(c.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("data directory %s: %w", c.DataDir, err)
	}
	b, err := store.Open(c.DataDir, store.BoltOptions{
		Release: release,
		Faulty: func(err error) {
			if err == nil {
				log.Info().Msg("journal is written again")
				return
			}
			log.Error().Err(err).Msg("journal cannot be written")
		},
		Remade: func(r store.Report) { tellReport(log, r) },
	})
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", c.DataDir, err)
	}
	tellReport(log, b.Report())
	return b, nil
}

// tellReport logs what was found in a journal, if it is worth a word.
func tellReport(log zerolog.Logger, r store.Report) {
	switch {
	case errors.Is(r.Why, store.ErrFormat):
		log.Error().Err(r.Why).Str("aside", r.SetAside).Msg("journal is of a newer parkd and was set aside")
	case r.SetAside != "" || r.Lost > 0:
		log.Error().Err(r.Why).Str("aside", r.SetAside).Int("salvaged", r.Salvaged).Int("lost", r.Lost).Msg("journal was damaged")
	case r.Compacted:
		log.Info().Msg("journal compacted")
	case r.Migrated != 0:
		log.Info().Int("from", r.Migrated).Int("to", store.Format).Msg("journal migrated")
	}
}
