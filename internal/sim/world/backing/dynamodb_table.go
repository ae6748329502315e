package backing

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"ec2patch/internal/iam"
	"ec2patch/internal/sim/world/dynamo"
)

// TableSpec declares a DynamoDB table, on demand, without indexes.
type TableSpec struct {
	Name     string
	ARN      string
	Account  string
	Region   string
	HashKey  string // attribute name
	RangeKey string // attribute name, "" for none

	// HashKeyType and RangeKeyType are S, N or B; "" means S.
	HashKeyType, RangeKeyType string

	TTLAttribute string // "" for no expiry

	// KMSKeyARN is the key of an encrypted table. DynamoDB uses it through a grant
	// of its own, so that callers need no permission of KMS, unless CallersNeedKey.
	KMSKeyARN      string
	CallersNeedKey bool

	ResourcePolicy *iam.Policy
}

// table is one table: its rows by hash key, each group in the order of its range key.
type table struct {
	spec   TableSpec
	keys   []string // names of the key attributes
	groups map[string]*group
	hashes []string // in the order in which they first appeared
}

// group is all rows of one hash key.
type group struct{ rows []*row }

// row is one place of a table. The item is nil when it was deleted; before is
// what stood there before the last write.
type row struct {
	sortKey dynamo.Value
	item    dynamo.Item
	size    int
	before  dynamo.Item
	written time.Time
}

// Limits of keys and items, in bytes. Source: D23:ServiceQuotas.
const (
	maxHashKey  = 2048
	maxRangeKey = 1024
	maxItem     = 400 * 1024
)

// AddTable declares a table. A table declared twice is replaced and empty.
func (w *Services) AddTable(spec TableSpec) {
	if spec.HashKeyType == "" {
		spec.HashKeyType = "S"
	}
	if spec.RangeKeyType == "" {
		spec.RangeKeyType = "S"
	}
	t := &table{spec: spec, keys: []string{spec.HashKey}, groups: map[string]*group{}}
	if spec.RangeKey != "" {
		t.keys = append(t.keys, spec.RangeKey)
	}
	w.tables[spec.ARN] = t
	w.DeclarePolicy(spec.ARN, spec.ResourcePolicy)
}

// Items are copies of all items of a table, by hash key in the order of their
// first appearance and then by range key. It is for checkers.
func (w *Services) Items(tableARN string) []map[string]ddb.AttributeValue {
	t := w.tables[tableARN]
	if t == nil {
		return nil
	}
	var all []map[string]ddb.AttributeValue
	for _, hash := range t.hashes {
		for _, r := range t.groups[hash].rows {
			if r.item != nil {
				all = append(all, dynamo.CloneItem(r.item))
			}
		}
	}
	return all
}

// TableSnapshot is the content of a table at one moment.
type TableSnapshot struct {
	groups map[string]*group
	hashes []string
}

// SnapshotTable keeps what a table holds now, for RestoreTable.
func (w *Services) SnapshotTable(tableARN string) TableSnapshot {
	t := w.tables[tableARN]
	if t == nil {
		return TableSnapshot{}
	}
	return TableSnapshot{groups: copyGroups(t.groups), hashes: slices.Clone(t.hashes)}
}

// RestoreTable puts a table back to an earlier moment, as an operator would who
// restores it from a backup under the same name.
func (w *Services) RestoreTable(tableARN string, s TableSnapshot) {
	if t := w.tables[tableARN]; t != nil {
		t.groups, t.hashes = copyGroups(s.groups), slices.Clone(s.hashes)
	}
}

func copyGroups(groups map[string]*group) map[string]*group {
	out := make(map[string]*group, len(groups))
	for hash, g := range groups {
		rows := make([]*row, len(g.rows))
		for i, r := range g.rows {
			own := *r
			rows[i] = &own
		}
		out[hash] = &group{rows}
	}
	return out
}

// table finds a table by name or ARN as a caller sees it.
func (s seat) table(nameOrARN *string) (*table, error) {
	name := deref(nameOrARN)
	if name == "" {
		return nil, dynamo.Invalid("Value null at 'tableName' failed to satisfy constraint: Member must not be null")
	}
	arn := name
	if !strings.HasPrefix(name, "arn:") {
		arn = "arn:" + partitionOf(s.region) + ":dynamodb:" + s.region + ":" + s.principal.Account + ":table/" + name
	}
	t := s.w.tables[arn]
	if t == nil || t.spec.Region != s.region {
		return nil, &ddb.ResourceNotFoundException{Message: ptr("Requested resource not found")}
	}
	return t, nil
}

// partitionOf is the partition of a region. Source: SDK endpoints, partitions.json.
func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// rowKey is where an item stands in its table.
type rowKey struct {
	hash    string       // canonical text of the hash key
	sortKey dynamo.Value // nil for a table without range key
}

// keyOf is the place of a whole item; the key attributes must be in it.
func (t *table) keyOf(in dynamo.Item) (rowKey, error) {
	var k rowKey
	for i, name := range t.keys {
		v := in[name]
		if v == nil {
			return k, dynamo.Invalid("One or more parameter values were invalid: Missing the key %s in the item", name)
		}
		if want := t.keyType(i); dynamo.TypeName(v) != want {
			return k,
				dynamo.Invalid("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", name,
					want, dynamo.TypeName(v))
		}
		if err := checkKeySize(name, v, i); err != nil {
			return k, err
		}
		k.set(i, v)
	}
	return k, nil
}

// keyFrom is the place that a request's Key names: exactly the key attributes.
func (t *table) keyFrom(key dynamo.Item) (rowKey, error) {
	var k rowKey
	if len(key) != len(t.keys) {
		return k, dynamo.Invalid("The provided key element does not match the schema")
	}
	for i, name := range t.keys {
		v := key[name]
		if v == nil || dynamo.TypeName(v) != t.keyType(i) {
			return k, dynamo.Invalid("The provided key element does not match the schema")
		}
		if err := checkKeySize(name, v, i); err != nil {
			return k, err
		}
		own, err := dynamo.CopyValue(v, 0)
		if err != nil {
			return k, err
		}
		k.set(i, own)
	}
	return k, nil
}

func (k *rowKey) set(i int, v dynamo.Value) {
	if i == 0 {
		k.hash = keyText(v)
		return
	}
	k.sortKey = v
}

func (t *table) keyType(i int) string {
	if i == 0 {
		return t.spec.HashKeyType
	}
	return t.spec.RangeKeyType
}

// keyText is a key value as text; keys of one table are all of one type.
func keyText(v dynamo.Value) string {
	switch v := v.(type) {
	case *ddb.AttributeValueMemberS:
		return v.Value
	case *ddb.AttributeValueMemberN:
		return v.Value
	case *ddb.AttributeValueMemberB:
		return string(v.Value)
	}
	return ""
}

func checkKeySize(name string, v dynamo.Value, i int) error {
	size, limit, kind := len(keyText(v)), maxHashKey, "hashkey"
	if i > 0 {
		limit, kind = maxRangeKey, "rangekey"
	}
	if size == 0 {
		what := "string"
		if dynamo.TypeName(v) == "B" {
			what = "binary"
		}
		return dynamo.Invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot "+
			"contain an empty %s value. Key: %s", what, name)
	}
	if size > limit {
		return dynamo.Invalid("One or more parameter values were invalid: Size of %s has exceeded the maximum size limit "+
			"of %d bytes", kind, limit)
	}
	return nil
}

// keyItem is the key attributes of an item, as a copy.
func (t *table) keyItem(in dynamo.Item) dynamo.Item {
	out := make(dynamo.Item, len(t.keys))
	for _, name := range t.keys {
		out[name] = dynamo.CloneValue(in[name])
	}
	return out
}

// search is the position of a range key in a group, or where it would stand.
func (g *group) search(sortKey dynamo.Value) (int, bool) {
	return slices.BinarySearchFunc(g.rows, sortKey, func(r *row, k dynamo.Value) int {
		order, _ := dynamo.CompareValues(r.sortKey, k)
		return order
	})
}

// row finds a row, nil when there never was one.
func (t *table) row(k rowKey) *row {
	g := t.groups[k.hash]
	if g == nil {
		return nil
	}
	if i, ok := g.search(k.sortKey); ok {
		return g.rows[i]
	}
	return nil
}

// write puts an item in its place, or deletes it when the item is nil.
// The item before it is kept only where somebody may still be shown it.
func (t *table) write(k rowKey, to dynamo.Item, now time.Time, keepBefore bool) {
	g := t.groups[k.hash]
	if g == nil {
		if to == nil {
			return
		}
		g = &group{}
		t.groups[k.hash] = g
		t.hashes = append(t.hashes, k.hash)
	}
	i, ok := g.search(k.sortKey)
	if !ok {
		if to == nil {
			return
		}
		g.rows = slices.Insert(g.rows, i, &row{sortKey: k.sortKey})
	}
	r := g.rows[i]
	r.before = nil
	if keepBefore {
		r.before = r.item
	}
	r.item, r.size, r.written = to, 0, now
	if to != nil {
		r.size = dynamo.ItemSize(to)
	}
}

// see is the item of a row at a moment: without items that expired and were
// removed, and as it was before a write that is younger than stale.
func (t *table) see(r *row, now time.Time, stale time.Duration) dynamo.Item {
	if r == nil {
		return nil
	}
	if stale > 0 && now.Sub(r.written) < stale {
		return r.before
	}
	if r.item != nil && t.expired(r.item, now) {
		return nil
	}
	return r.item
}

// Bounds of the removal of expired items. Source: D23:howitworks-ttl: typically
// within 48 hours; items that expired more than five years ago are kept.
const (
	maxExpiryDelay = 48 * time.Hour
	maxExpiryAge   = 5 * 365 * 24 * time.Hour
)

// expired tells whether the item's time to live is over and the background
// removal has come past. Its delay is drawn from the item's key.
func (t *table) expired(in dynamo.Item, now time.Time) bool {
	if t.spec.TTLAttribute == "" {
		return false
	}
	n, ok := in[t.spec.TTLAttribute].(*ddb.AttributeValueMemberN)
	if !ok {
		return false
	}
	seconds, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		return false
	}
	age := now.Sub(time.Unix(seconds, 0))
	if age <= 0 || age > maxExpiryAge {
		return false
	}
	return age > t.expiryDelay(in)
}

func (t *table) expiryDelay(in dynamo.Item) time.Duration {
	h := fnv.New64a()
	for _, name := range t.keys {
		h.Write([]byte(keyText(in[name])))
		h.Write([]byte{0})
	}
	return time.Duration(h.Sum64() % uint64(maxExpiryDelay))
}
