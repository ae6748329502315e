package patch

// A partition is a part of AWS with accounts, credentials and ARNs of its own.
type partition struct {
	name    string
	regions []Region
}

// partitions lists every region of every partition.
// Source: endpoint lists of the AWS SDK for Go v2, service/ssm 1.82.0 (2026-11),
// and the European Sovereign Cloud's region from its own partition.
func partitions() []partition {
	return []partition{
		{"aws", []Region{
			"af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3",
			"ap-south-1", "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4",
			"ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "eu-central-1",
			"eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3",
			"il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2",
			"us-west-1", "us-west-2",
		}},
		{"aws-cn", []Region{"cn-north-1", "cn-northwest-1"}},
		{"aws-us-gov", []Region{"us-gov-east-1", "us-gov-west-1"}},
		{"aws-iso", []Region{"us-iso-east-1", "us-iso-west-1"}},
		{"aws-iso-b", []Region{"us-isob-east-1", "us-isob-west-1"}},
		{"aws-iso-e", []Region{"eu-isoe-west-1"}},
		{"aws-iso-f", []Region{"us-isof-east-1", "us-isof-south-1"}},
		{"aws-eusc", []Region{"eusc-de-east-1"}},
	}
}

// Partition names the AWS partition of the region, as "aws" or "aws-cn". It is
// empty for a region that ec2patch does not know.
func (r Region) Partition() string {
	for _, p := range partitions() {
		for _, known := range p.regions {
			if r == known {
				return p.name
			}
		}
	}
	return ""
}

// Regions lists every known region, by partition and name.
func Regions() []Region {
	var all []Region
	for _, p := range partitions() {
		all = append(all, p.regions...)
	}
	return all
}
