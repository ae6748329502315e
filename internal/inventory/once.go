package inventory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"ec2patch/internal/patch"
)

// once writes an object of the plan, and decodes into v what counts: the object that was there first. The bucket lets
// nobody write over one, so another attempt, or whoever else was earlier, has decided.
func (v *Inventory) once(ctx context.Context, key string, what, into any) (data []byte, mine bool, err error) {
	data, err = patch.Canonical(what)
	if err != nil {
		return nil, false, err
	}
	created, err := v.Objects.Create(ctx, key, "application/json", data)
	if err != nil || created {
		return data, true, err
	}
	first, found, err := v.Objects.Fetch(ctx, key)
	switch {
	case err != nil:
		return nil, false, err
	case !found:
		return nil, false, fmt.Errorf("%w: object %s is there and cannot be read", patch.ErrUnavailable, key)
	case bytes.Equal(first, data):
		return data, true, nil
	}
	if err := json.Unmarshal(first, into); err != nil {
		return nil, false, fmt.Errorf("%w: object %s: %w", patch.ErrTampered, key, err)
	}
	return first, false, nil
}
