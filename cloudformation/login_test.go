package cloudformation_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"ec2patch/cloudformation"
	"ec2patch/internal/cfn"
)

func deployed(t *testing.T, more map[string]string) (*cfn.Stack, error) {
	t.Helper()
	hub, err := cfn.Load("hub-cfn.yaml", cloudformation.Hub)
	require.NoError(t, err)
	parameters := map[string]string{"ArtifactBucket": "artifacts", "ArtifactKey": "lambda.zip",
		"CrossAccountExternalId": "0123456789abcdef"}
	for k, v := range more {
		parameters[k] = v
	}
	return hub.Deploy(cfn.Deployment{StackName: "hub", Account: "999999999999", Region: "us-east-1",
		Parameters: parameters})
}

// The page wants a login where there is an issuer, on both of its routes, and the operator's route always wants IAM.
func TestT44_Login(t *testing.T) {
	for _, tt := range []struct {
		name       string
		parameters map[string]string
		page       string
		logins     int
	}{
		{"no issuer", nil, "NONE", 0},
		{"an issuer", map[string]string{"JwtIssuer": "https://login.example.com/tenant",
			"JwtAudience": "ec2patch"}, "JWT", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stack, err := deployed(t, tt.parameters)
			require.NoError(t, err)
			logins := stack.OfType("AWS::ApiGatewayV2::Authorizer")
			require.Len(t, logins, tt.logins)
			for _, login := range logins {
				assert.NotContains(t, login.Properties, "AuthorizerResultTtlInSeconds",
					"no answer is kept for another link")
				assert.Equal(t, "JWT", login.Properties["AuthorizerType"])
				assert.Equal(t, map[string]any{"Issuer": "https://login.example.com/tenant",
					"Audience": []any{"ec2patch"}}, login.Properties["JwtConfiguration"])
			}
			for _, route := range stack.OfType("AWS::ApiGatewayV2::Route") {
				want := tt.page
				if route.Properties["RouteKey"] == "POST /operator" {
					want = "AWS_IAM"
				}
				assert.Equal(t, want, route.Properties["AuthorizationType"], route.Properties["RouteKey"])
				_, bound := route.Properties["AuthorizerId"]
				assert.Equal(t, want == "JWT", bound, route.Properties["RouteKey"])
			}
		})
	}
	t.Run("an issuer without audience", func(t *testing.T) {
		_, err := deployed(t, map[string]string{"JwtIssuer": "https://login.example.com"})
		assert.ErrorContains(t, err, "JwtIssuer needs JwtAudience")
	})
	t.Run("an issuer without TLS", func(t *testing.T) {
		_, err := deployed(t, map[string]string{"JwtIssuer": "http://login.example.com", "JwtAudience": "ec2patch"})
		assert.Error(t, err)
	})
}
