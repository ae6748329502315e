package fake

import (
	"context"
	"fmt"
	"sync"
)

type Waiter struct {
	mu     sync.Mutex
	Tokens []string
	Gone   bool
	Err    error
	Seen   func()
}

func (w *Waiter) Release(_ context.Context, token string, output []byte) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Seen != nil {
		w.Seen()
	}
	if string(output) != "{}" {
		return false, fmt.Errorf("output %q says something", output)
	}
	w.Tokens = append(w.Tokens, token)
	return w.Gone, w.Err
}

type Mail struct {
	mu   sync.Mutex
	Sent []string
	Err  error
}

func (m *Mail) Send(_ context.Context, subject, body string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Sent = append(m.Sent, subject+"\n"+body)
	return m.Err
}
