package guard

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// apiChecks are about the approval endpoint.
func apiChecks() []Check {
	hub := []string{Hub}
	return []Check{
		{"H-59", "The endpoint has the documented routes and no other.", hub, routes},
		{"H-60", "The access log is on, and has neither path nor query nor headers.", hub, accessLog},
		{"H-61", "The stage is throttled, and the operator's route apart from the page.", hub, throttle},
		{"H-62", "No other page may call the endpoint.", hub, cors},
		{"H-63", "Every route says who may call it; the operator's wants IAM.", hub, authorisation},
	}
}

func routes(t *Template, tell say) {
	var keys []string
	for _, r := range t.ofType("AWS::ApiGatewayV2::Route") {
		key := show(r.property("RouteKey"))
		if !slices.Contains([]string{"GET /callback", "POST /callback", "POST /operator"}, key) {
			tell(r.Node, "%s: nobody expects the route %q", r.ID, key)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if !slices.Equal(slices.Compact(slices.Clone(keys)), keys) || len(keys) != 3 {
		tell(nil, "there must be three routes, not %q", keys)
	}
}

// logged lists what the access log may hold: nothing of it is a part of the link.
func logged() []string {
	return []string{"$context.requestId", "$context.requestTime", "$context.routeKey", "$context.status",
		"$context.identity.sourceIp", "$context.responseLatency", "$context.integration.status",
		"$context.error.messageString", "$context.integrationErrorMessage"}
}

var contextVariable = regexp.MustCompile(`\$[A-Za-z.]+`)

func accessLog(t *Template, tell say) {
	for _, r := range t.ofType("AWS::ApiGatewayV2::Stage") {
		format := show(r.property("AccessLogSettings", "Format"))
		if format == "" || !strings.HasPrefix(format, "{") || show(r.property("AccessLogSettings", "DestinationArn")) !=
			"${ApprovalApiLogGroup.Arn}" {
			tell(r.Node, "%s must log its calls as JSON", r.ID)
		}
		for _, variable := range contextVariable.FindAllString(format, -1) {
			if !slices.Contains(logged(), variable) {
				tell(r.property("AccessLogSettings", "Format"), "%s may hold a part of the link", variable)
			}
		}
	}
}

func throttle(t *Template, tell say) {
	for _, r := range t.ofType("AWS::ApiGatewayV2::Stage") {
		for _, limit := range []struct {
			field string
			most  int
		}{{"ThrottlingRateLimit", 50}, {"ThrottlingBurstLimit", 100}} {
			for _, settings := range [][]string{{"DefaultRouteSettings"}, {"RouteSettings", "POST /operator"}} {
				n, err := strconv.Atoi(show(r.property(append(settings, limit.field)...)))
				if err != nil || n < 1 || n > limit.most {
					tell(r.Node, "%s of %s in %s must be 1 to %d", limit.field, strings.Join(settings, " "), r.ID, limit.most)
				}
			}
		}
		for _, route := range pairs(r.property("RouteSettings")) {
			if route.key != "POST /operator" {
				tell(route.value, "%s has settings for %s, which is the page's", r.ID, route.key)
			}
		}
		if show(child(r.Node, "DependsOn")) != "OperatorRoute" {
			tell(r.Node, "%s must wait for OperatorRoute, whose settings it has", r.ID)
		}
	}
}

func cors(t *Template, tell say) {
	for _, r := range t.ofType("AWS::ApiGatewayV2::Api") {
		if r.property("CorsConfiguration") != nil {
			tell(r.Node, "%s lets other pages call it", r.ID)
		}
		if show(r.property("ProtocolType")) != "HTTP" {
			tell(r.Node, "%s must be an HTTP API", r.ID)
		}
	}
}

func authorisation(t *Template, tell say) {
	for _, r := range t.ofType("AWS::ApiGatewayV2::Route") {
		kind := show(r.property("AuthorizationType"))
		operator := show(r.property("RouteKey")) == "POST /operator"
		if operator && kind != "AWS_IAM" {
			tell(r.Node, "%s must want IAM", r.ID)
		}
		// The page and its form are for whoever holds a link, or with a provider of identities for whom it knows.
		n := r.property("AuthorizationType")
		page := kind == "NONE" || n != nil && n.Tag == "!If" && len(items(n)) == 3 && show(items(n)[1]) == "JWT" &&
			show(items(n)[2]) == "NONE"
		if !operator && !page {
			tell(r.Node, "%s must say who may call it", r.ID)
		}
	}
	for _, r := range t.ofType("AWS::ApiGatewayV2::Integration") {
		if show(r.property("IntegrationUri")) != "${ApprovalCallbackAlias}" ||
			show(r.property("PayloadFormatVersion")) != "2.0" {
			tell(r.Node, "%s must call the callback's alias with payload 2.0", r.ID)
		}
	}
}
