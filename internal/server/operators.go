package server

import (
	"context"
	"time"
)

type operators struct{}

func (s *Server) buildAdmin(*world) error { return nil }
func (s *Server) refused(string)          {}
func (s *Server) told(time.Duration)      {}

func (o *operators) serve() error         { return nil }
func (o *operators) ready(bool)           {}
func (o *operators) stop(context.Context) {}
func (o *operators) close()               {}
