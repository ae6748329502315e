package lambdamain

import (
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// noted keeps the request and answers nothing.
type noted struct{ last *http.Request }

func (n *noted) Do(r *http.Request) (*http.Response, error) {
	n.last = r
	return nil, http.ErrServerClosed
}

// Organizations has one endpoint in each partition; the client finds it from the
// hub's region, and signs for the endpoint's.
func TestUnits_endpoint(t *testing.T) {
	for region, want := range map[string]struct{ host, signedFor string }{
		"eu-west-1":     {"organizations.us-east-1.amazonaws.com", "us-east-1"},
		"us-east-1":     {"organizations.us-east-1.amazonaws.com", "us-east-1"},
		"us-gov-east-1": {"organizations.us-gov-west-1.amazonaws.com", "us-gov-west-1"},
		"cn-north-1":    {"organizations.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"},
	} {
		out := &noted{}
		client := units(aws.Config{Region: region, HTTPClient: out, Retryer: func() aws.Retryer {
			return aws.NopRetryer{}
		}})(aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"})
		_, err := client.ListAccountsForParent(t.Context(),
			&organizations.ListAccountsForParentInput{ParentId: aws.String("r-ab12")})
		require.Error(t, err)
		require.NotNil(t, out.last, err)
		assert.Equal(t, want.host, out.last.URL.Host, region)
		assert.Contains(t, out.last.Header.Get("Authorization"), "/"+want.signedFor+"/organizations/", region)
	}
}
