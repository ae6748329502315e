package guard_test

import "ec2patch/internal/guard"

func auditMutants() []mutant {
	roles := []string{"InventoryRole", "SendRole", "PollRole", "ApprovalRequestRole", "ApprovalCallbackRole", "VerifyRole"}
	keys := []string{
		"InventoryAuditKey", "SendAuditKey", "PollAuditKey", "ApprovalRequestAuditKey", "ApprovalCallbackAuditKey",
		"VerifyAuditKey",
	}
	const null = "                  \"Null\":\n                    dynamodb:LeadingKeys: \"false\"\n"
	return []mutant{
		{check: "audit-chains", file: guard.Hub, in: roles, old: null, new: ""},
		{check: "audit-chains", file: guard.Hub, in: []string{"PollRole"}, old: "[\"POLL#*\"]", new: "[\"SEND#*\"]"},
		{check: "audit-chains", file: guard.Hub, in: []string{"VerifyRole"}, old: "[\"VERIFY#*\"]",
			new: "[\"VERIFY#*\", \"RUN#*\"]"},
		{check: "audit-chains", file: guard.Hub, in: []string{"InventoryRole"}, old: "[\"INVENTORY#*\"]", new: "[\"*\"]"},
		{check: "audit-chains", file: guard.Hub, in: []string{"SendRole"}, old: "Resource: !GetAtt AuditTable.Arn",
			new: "Resource: !GetAtt StateTable.Arn"},
		{check: "audit-keys", file: guard.Hub, in: keys, old: "ECC_NIST_P256", new: "RSA_2048"},
		{check: "audit-keys", file: guard.Hub, in: keys, old: "ArnNotEquals", new: "ArnEquals"},
		{check: "audit-keys", file: guard.Hub, in: keys, old: "- kms:DescribeKey", new: "- kms:Sign"},
		{check: "audit-keys", file: guard.Hub, in: []string{"SendAuditKey"}, old: "-SendSsmCommandRole",
			new: "-PollSsmCommandRole"},
		{check: "audit-keys", file: guard.Hub, in: []string{"PollRole"}, old: "!GetAtt PollAuditKey.Arn",
			new: "!GetAtt SendAuditKey.Arn"},
		{check: "audit-keys", file: guard.Hub, in: []string{"VerifyFunction"}, old: "!GetAtt VerifyAuditKey.Arn",
			new: "!GetAtt PollAuditKey.Arn"},
		{check: "audit-keys", file: guard.Hub, in: []string{"ViewerPolicy"}, old: "Action: kms:GetPublicKey",
			new: "Action: kms:Sign"},
		{check: "audit-locks", file: guard.Hub, in: []string{"AuditTable"}, old: "                  - dynamodb:DeleteTable\n",
			new: ""},
		{check: "audit-locks", file: guard.Hub, in: []string{"AuditTable"}, old: "- dynamodb:UpdateTable\n",
			new: "- dynamodb:UpdateTable\n                  - dynamodb:PutResourcePolicy\n"},
		{check: "audit-locks", file: guard.Hub, in: []string{"DataBucketPolicy"},
			old: "Action: s3:DeleteObjectVersion\n              Resource: !Sub \"${DataBucket.Arn}/*\"",
			new: "Action: s3:DeleteObjectVersion\n              Resource: !Sub \"${DataBucket.Arn}/runs/*\""},
		{check: "audit-locks", file: guard.Hub, in: []string{"DataBucketPolicy"},
			old: "Sid: NobodyShortensLives\n              Effect: Deny",
			new: "Sid: NobodyShortensLives\n              Effect: Allow"},
		{check: "audit-locks", file: guard.Hub, in: []string{"LockRecords"}, old: "Default: \"true\"",
			new: "Default: \"false\""},
	}
}
