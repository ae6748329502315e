package guard

import "slices"

// dataChecks are about the tables and the bucket.
func dataChecks() []Check {
	hub := []string{Hub}
	return []Check{
		{"H-66", "Every table can be restored to any point in time.", hub, pointInTime},
		{"H-67", "Every table is encrypted with our key.", hub, tableKeys},
		{"H-68", "Every table is protected against deletion.", hub, deletionProtection},
		{"H-69", "Audit rows never expire, and nobody changes them.", hub, auditTable},
		{"H-70", "Tables are billed on demand.", hub, billing},
		{"H-71", "The bucket is closed to the public in all four ways.", hub, publicAccess},
		{"H-72", "The bucket refuses plain transport.", hub, bucketTransport},
		{"H-73", "The bucket encrypts with our key and refuses others.", hub, bucketKey},
		{"write-once", "What a run is planned from, and its plan, is written once: nobody writes over it, and nobody " +
			"deletes it.", hub, writeOnce},
		{"H-74", "The bucket keeps versions.", hub, bucketVersions},
		{"H-75", "The bucket's owner owns its objects.", hub, bucketOwner},
		{"H-77", "Old runs, old versions and abandoned uploads leave the bucket, and no version before its run.", hub,
			lifecycle},
	}
}

func pointInTime(t *Template, tell say) {
	for _, r := range t.ofType("AWS::DynamoDB::Table") {
		if show(r.property("PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled")) != "true" {
			tell(r.Node, "%s has no point-in-time recovery", r.ID)
		}
	}
}

func tableKeys(t *Template, tell say) {
	for _, r := range t.ofType("AWS::DynamoDB::Table") {
		sse := r.property("SSESpecification")
		if show(child(sse, "SSEEnabled")) != "true" || show(child(sse, "SSEType")) != "KMS" ||
			show(child(sse, "KMSMasterKeyId")) != "${DataKey.Arn}" {
			tell(r.Node, "%s is not encrypted with our key", r.ID)
		}
	}
}

func deletionProtection(t *Template, tell say) {
	for _, r := range t.ofType("AWS::DynamoDB::Table") {
		if show(r.property("DeletionProtectionEnabled")) != "true" {
			tell(r.Node, "%s can be deleted", r.ID)
		}
	}
}

func auditTable(t *Template, tell say) {
	r, ok := t.resource("AuditTable")
	if !ok || r.property("TimeToLiveSpecification") != nil {
		tell(r.Node, "the audit table must keep its rows for ever")
	}
	var refused []string
	for _, s := range statements(r) {
		if show(child(s.node, "Effect")) == "Deny" && show(child(s.node, "Principal")) == "*" && child(s.node,
			"Condition") == nil {
			refused = append(refused, s.actions()...)
		}
	}
	for _, action := range []string{"UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLInsert", "PartiQLUpdate",
		"PartiQLDelete"} {
		if !slices.Contains(refused, "dynamodb:"+action) {
			tell(r.Node, "the audit table must refuse %s to everybody", action)
		}
	}
	state, _ := t.resource("StateTable")
	if show(state.property("TimeToLiveSpecification", "Enabled")) != "true" {
		tell(state.Node, "rows of old runs must expire")
	}
}

func billing(t *Template, tell say) {
	for _, r := range t.ofType("AWS::DynamoDB::Table") {
		if show(r.property("BillingMode")) != "PAY_PER_REQUEST" {
			tell(r.Node, "%s must be billed on demand", r.ID)
		}
	}
}

func publicAccess(t *Template, tell say) {
	for _, r := range t.ofType("AWS::S3::Bucket") {
		for _, block := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls",
			"RestrictPublicBuckets"} {
			if show(r.property("PublicAccessBlockConfiguration", block)) != "true" {
				tell(r.Node, "%s: %s must be true", r.ID, block)
			}
		}
	}
}

func bucketTransport(t *Template, tell say) {
	for _, r := range t.ofType("AWS::S3::BucketPolicy") {
		if !refusesPlainTransport(r, "s3:*", "${DataBucket.Arn}", "${DataBucket.Arn}/*") {
			tell(r.Node, "%s must refuse plain transport", r.ID)
		}
		for _, s := range statements(r) {
			if s.allows() {
				tell(s.node, "%s of %s: the bucket's policy allows nothing", s.sid(), r.ID)
			}
		}
	}
	if len(t.ofType("AWS::S3::BucketPolicy")) != len(t.ofType("AWS::S3::Bucket")) {
		tell(nil, "every bucket needs a policy")
	}
}

// refusesPlainTransport says whether a policy denies an action to everybody who comes without TLS.
func refusesPlainTransport(r Resource, action string, on ...string) bool {
	return slices.ContainsFunc(statements(r), func(s statement) bool {
		return show(child(s.node, "Effect")) == "Deny" && show(child(s.node, "Principal")) == "*" &&
			slices.Equal(s.actions(), []string{action}) &&
			slices.Equal(s.on(), on) && slices.Equal(s.condition("Bool", "aws:SecureTransport"), []string{"false"}) &&
			len(pairs(child(s.node, "Condition"))) == 1
	})
}

func bucketKey(t *Template, tell say) {
	for _, r := range t.ofType("AWS::S3::Bucket") {
		rules := items(r.property("BucketEncryption", "ServerSideEncryptionConfiguration"))
		if len(rules) != 1 || show(dig(rules[0], "ServerSideEncryptionByDefault", "SSEAlgorithm")) != "aws:kms" ||
			show(dig(rules[0], "ServerSideEncryptionByDefault", "KMSMasterKeyID")) != "${DataKey.Arn}" {
			tell(r.Node, "%s must encrypt with our key", r.ID)
		}
	}
	for _, r := range t.ofType("AWS::S3::BucketPolicy") {
		for _, want := range []struct{ key, value string }{
			{"s3:x-amz-server-side-encryption", "aws:kms"}, {"s3:x-amz-server-side-encryption-aws-kms-key-id",
				"${DataKey.Arn}"},
		} {
			refuses := func(s statement) bool {
				return show(child(s.node, "Effect")) == "Deny" && slices.Equal(s.actions(), []string{"s3:PutObject"}) &&
					slices.Equal(s.condition("Null", want.key), []string{"false"}) &&
					slices.Equal(s.condition("StringNotEquals", want.key), []string{want.value})
			}
			if !slices.ContainsFunc(statements(r), refuses) {
				tell(r.Node, "%s must refuse a %s that is not %s", r.ID, want.key, want.value)
			}
		}
	}
}

// planned are the objects that a run is planned from, and its plan.
func planned() []string {
	return []string{"${DataBucket.Arn}/runs/*/input.json", "${DataBucket.Arn}/runs/*/inventory/*",
		"${DataBucket.Arn}/runs/*/plan/*"}
}

func writeOnce(t *Template, tell say) {
	for _, r := range t.ofType("AWS::S3::BucketPolicy") {
		denies := func(s statement, actions ...string) bool {
			return show(child(s.node, "Effect")) == "Deny" && show(child(s.node, "Principal")) == "*" &&
				slices.Equal(s.actions(), actions) && slices.Equal(s.on(), planned())
		}
		over := func(s statement) bool {
			return denies(s, "s3:PutObject") && slices.Equal(s.condition("Null", "s3:if-none-match"),
				[]string{"true"}) &&
				len(pairs(child(s.node, "Condition"))) == 1 && len(pairs(dig(s.node, "Condition", "Null"))) == 1
		}
		away := func(s statement) bool {
			return denies(s, "s3:DeleteObject", "s3:DeleteObjectVersion") && child(s.node, "Condition") == nil
		}
		if !slices.ContainsFunc(statements(r), over) {
			tell(r.Node, "%s must refuse to write over a plan", r.ID)
		}
		if !slices.ContainsFunc(statements(r), away) {
			tell(r.Node, "%s must refuse to delete a plan", r.ID)
		}
	}
}

func bucketVersions(t *Template, tell say) {
	for _, r := range t.ofType("AWS::S3::Bucket") {
		if show(r.property("VersioningConfiguration", "Status")) != "Enabled" {
			tell(r.Node, "%s must keep versions", r.ID)
		}
	}
}

func bucketOwner(t *Template, tell say) {
	for _, r := range t.ofType("AWS::S3::Bucket") {
		rules := items(r.property("OwnershipControls", "Rules"))
		if len(rules) != 1 || show(child(rules[0], "ObjectOwnership")) != "BucketOwnerEnforced" ||
			r.property("AccessControl") != nil {
			tell(r.Node, "%s must be owned by its owner alone", r.ID)
		}
	}
}

func lifecycle(t *Template, tell say) {
	for _, r := range t.ofType("AWS::S3::Bucket") {
		found := map[string]bool{}
		for _, rule := range items(r.property("LifecycleConfiguration", "Rules")) {
			for _, field := range []string{"AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration",
				"ExpirationInDays"} {
				found[field] = found[field] || child(rule, field) != nil && show(child(rule, "Status")) == "Enabled"
			}
			// Where several rules say when a version goes, S3 takes the earliest.
			for _, left := range []string{show(dig(rule, "NoncurrentVersionExpiration", "NoncurrentDays")),
				show(child(rule, "ExpirationInDays"))} {
				if left != "" && left != "${DataRetentionDays}" {
					tell(rule, "%s: what was written over must live as long as its run, DataRetentionDays", r.ID)
				}
			}
		}
		for _, field := range []string{"AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration",
			"ExpirationInDays"} {
			if !found[field] {
				tell(r.Node, "%s has no %s", r.ID, field)
			}
		}
		if logs := r.property("LoggingConfiguration"); logs == nil || !mentions(logs, "AccessLogBucket") {
			tell(r.Node, "%s must take AccessLogBucket", r.ID)
		}
	}
}
