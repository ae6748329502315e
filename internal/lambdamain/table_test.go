package lambdamain

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/internal/cloud"
	"ec2patch/internal/patch"
	"ec2patch/internal/store"
)

// TestTable_LostAnswer loses the answer of a transaction. DynamoDB carries a
// transaction out once for each token, so what the client tries again must bear
// the token of the first attempt: else a counter would be added to twice, and an
// intent to send that was written would look like another's.
func TestTable_LostAnswer(t *testing.T) {
	var tokens []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "DynamoDB_20120810.TransactWriteItems", r.Header.Get("X-Amz-Target"))
		var body struct{ ClientRequestToken string }
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&body))
		tokens = append(tokens, body.ClientRequestToken)
		if len(tokens)%2 == 1 {
			drop(w, r)
		}
		says(200, "{}")(w, r)
	}))
	table := tableAt(t, server)
	for range 2 {
		require.NoError(t, table.Write(t.Context(),
			store.Write{How: store.Create, Key: store.Key{PK: "RUN#a", SK: "SEND#1"}, Item: stored{Version: 1}},
			store.Write{How: store.Add, Key: store.Key{PK: "RUN#a", SK: "COUNT"}, Add: map[string]int{"sent": 1}}))
	}
	require.Len(t, tokens, 4, "each write is tried again once")
	assert.NotEmpty(t, tokens[0])
	assert.Equal(t, tokens[0], tokens[1])
	assert.Equal(t, tokens[2], tokens[3])
	assert.NotEqual(t, tokens[0], tokens[2], "another write, another token")
}

// tableAt is the table as the Lambdas have it, with a server of the test's own behind it.
func tableAt(t *testing.T, server *httptest.Server) *cloud.Table {
	t.Helper()
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test",
		"AWS_SECRET_ACCESS_KEY": "test",
	} {
		t.Setenv(name, value)
	}
	clients, err := AWS(t.Context())
	require.NoError(t, err)
	return &cloud.Table{DynamoDB: clients.DynamoDB, Now: time.Now, State: "state", Audit: "audit"}
}

// TestTable_Contention cancels a transaction once. One that met another is tried
// again; one whose condition did not hold is not, whatever else was in its way.
func TestTable_Contention(t *testing.T) {
	cases := []struct {
		name     string
		reasons  string
		requests int
		want     error
	}{
		{"met another transaction", `{"Code":"TransactionConflict"},{"Code":"None"}`, 2, nil},
		{"condition did not hold", `{"Code":"None"},{"Code":"ConditionalCheckFailed"}`, 1, patch.ErrConflict},
		{"both", `{"Code":"TransactionConflict"},{"Code":"ConditionalCheckFailed"}`, 1, patch.ErrConflict},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			requests := 0
			table := tableAt(t, httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests++; requests == 1 {
					says(400, `{"__type":"TransactionCanceledException","CancellationReasons":[`+c.reasons+`]}`)(w, r)
					return
				}
				says(200, "{}")(w, r)
			})))
			err := table.Write(t.Context(),
				store.Write{How: store.Require, Key: store.Key{PK: "RUN#a", SK: "META"}, Field: "digest"},
				store.Write{How: store.Create, Key: store.Key{PK: "RUN#a", SK: "SEND#1"}, Item: stored{Version: 1}})
			assert.ErrorIs(t, err, c.want)
			assert.Equal(t, c.requests, requests)
		})
	}
}
