package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// object is a JSON object in the order of the text; encoding/json would drop repeated keys without a word.
type object []member

type member struct {
	key   string
	value any // string, bool, json.Number, []any or object; null is refused
}

func (o object) get(key string) any {
	for _, m := range o {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// listed makes one value a list of one.
func listed(value any) []any {
	switch v := value.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{value}
}

// maxDepth bounds the nesting of a policy; a condition's values stand on the sixth level.
const maxDepth = 20

func decode(doc []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	value, err := decodeValue(decoder, 0)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the document")
	}
	return value, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case nil:
		return nil, errors.New("null")
	case json.Delim('['):
		items := []any{}
		for d.More() {
			item, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		_, err := d.Token()
		return items, err
	case json.Delim('{'):
		return decodeObject(d, depth)
	}
	return token, nil
}

func decodeObject(d *json.Decoder, depth int) (object, error) {
	out := object{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, ok := token.(string)
		if !ok {
			return nil, errors.New("a key must be text")
		}
		for _, m := range out {
			if m.key == key {
				return nil, fmt.Errorf("key %q stands there twice", key)
			}
		}
		value, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, member{key, value})
	}
	_, err := d.Token()
	return out, err
}
