package hub_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/hub"
	"ec2patch/internal/store"
)

func TestClient_audit(t *testing.T) {
	pages := 0
	c := server(t, func(r *http.Request, body string) (int, string) {
		switch op := r.Header.Get("X-Amz-Target"); {
		case op == "DynamoDB_20120810.Query":
			assert.Contains(t, body, `"TableName":"ec2patch-audit"`)
			assert.Contains(t, body, `"ConsistentRead":true`)
			if pages++; pages == 1 {
				return 200, `{"Items":[{"chain":{"S":"SEND#RUN#x"},"seq":{"N":"1"},"signature":{"B":"AQI="}}],
					"LastEvaluatedKey":{"pk":{"S":"SEND#RUN#x"},"sk":{"S":"00000001"}}}`
			}
			assert.Contains(t, body, `"ExclusiveStartKey"`)
			return 200, `{"Items":[{"chain":{"S":"SEND#RUN#x"},"seq":{"N":"2"},"binds":{"S":"0f"},"releases":{"BOOL":true}}]}`
		case op == "TrentService.GetPublicKey" && strings.Contains(body, "alias/ec2patch-audit-send"):
			return 200, `{"PublicKey":"AQID"}`
		case op == "TrentService.GetPublicKey":
			return 400, `{"__type":"NotFoundException","message":"no alias"}`
		case r.URL.Path == "/data/runs/x/heads/0f.json":
			return 200, "[]"
		case strings.HasPrefix(r.URL.Path, "/data/"):
			return 404, `<Error><Code>NoSuchKey</Code><Message>no</Message></Error>`
		}
		return 400, `{"__type":"ValidationException","message":"nobody knows"}`
	})
	entries, err := c.Chain(t.Context(), "SEND#RUN#x")
	require.NoError(t, err)
	assert.Equal(t, []store.AuditEntry{
		{Chain: "SEND#RUN#x", Seq: 1, Signature: []byte{1, 2}}, {Chain: "SEND#RUN#x", Seq: 2, Binds: "0f", Releases: true},
	}, entries)
	key, err := c.AuditKey(t.Context(), store.Send)
	require.NoError(t, err)
	assert.Equal(t, []byte{1, 2, 3}, key)
	_, err = c.AuditKey(t.Context(), store.Poll)
	assert.ErrorIs(t, err, hub.ErrNotFound)
	data, found, err := c.Object(t.Context(), "data", store.HeadsObject("x", "0f"))
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, "[]", string(data))
	_, found, err = c.Object(t.Context(), "data", "runs/x/gone")
	require.NoError(t, err)
	assert.False(t, found)
}
