package world

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"ec2patch/internal/sim/world/core"
	"ec2patch/internal/sim/world/fleetfile"
)

// Patches of every instance beside those that it installs.
const (
	otherPatches  = 3  // installed, and not in the baseline
	notApplicable = 40 // in the baseline, and for something that is not installed
)

// batch is patches that were installed at one moment: those of the instance's patches below upTo that no earlier
// batch has. The patches of an instance are in the order in which it installs them, the newest last.
type batch struct {
	at   time.Time
	upTo int
}

// DescribeInstancePatches lists what the patch state record of one node counts, patch by patch; nothing for a node that
// was never scanned. The token after the last page is sometimes an empty text, and answers write states as
// INSTALLED_OTHER where filters say InstalledOther. Source: B:DescribeInstancePatches; TK package_compliance.py.
// No resource type: it is judged on "*".
func (s *SSM) DescribeInstancePatches(ctx context.Context, in *ssm.DescribeInstancePatchesInput,
	_ ...func(*ssm.Options)) (*ssm.DescribeInstancePatchesOutput, error) {
	call := s.call("DescribeInstancePatches", false, in)
	return core.Do(ctx, s.w.Core, call, func() (*ssm.DescribeInstancePatchesOutput, error) {
		size, err := maxResults(in.MaxResults, 10, 100, 10)
		if err != nil {
			return nil, err
		}
		match, err := patchFilters(in.Filters)
		if err != nil {
			return nil, err
		}
		i, ok := s.w.instances[aws.ToString(in.InstanceId)]
		if !ok || i.Account != s.p.Account || i.Region != s.region || !i.managed {
			return nil, invalidInstanceID([]string{aws.ToString(in.InstanceId)}, s.p.Account)
		}
		rows := slices.DeleteFunc(i.patchRows(), func(p ssmtypes.PatchComplianceData) bool { return !match(p) })
		cut, next, err := core.Page("DescribeInstancePatches", rows, s.w.PageOf(call, size), in.NextToken)
		if err != nil {
			return nil, err
		}
		if next == nil && s.w.Rand("pages").IntN(2) == 0 {
			next = aws.String("")
		}
		return &ssm.DescribeInstancePatchesOutput{Patches: cut, NextToken: next}, nil
	})
}

// patchFilters compiles the filters: keys AND, values OR.
func patchFilters(filters []ssmtypes.PatchOrchestratorFilter) (func(ssmtypes.PatchComplianceData) bool, error) {
	if len(filters) > 5 {
		return nil, core.Invalid("filters", "length less than or equal to 5")
	}
	for _, f := range filters {
		if !slices.Contains([]string{"Classification", "KBId", "Severity", "State"}, aws.ToString(f.Key)) {
			return nil, &ssmtypes.InvalidFilter{Message: aws.String("The filter " + aws.ToString(f.Key) + " is not valid.")}
		}
	}
	return func(p ssmtypes.PatchComplianceData) bool {
		return !slices.ContainsFunc(filters, func(f ssmtypes.PatchOrchestratorFilter) bool {
			have := map[string]string{
				"Classification": *p.Classification, "KBId": *p.KBId, "Severity": *p.Severity, "State": camelCase(p.State),
			}[*f.Key]
			return !slices.Contains(f.Values, have)
		})
	}, nil
}

// camelCase is a state as filters write it.
func camelCase(s ssmtypes.PatchComplianceDataState) string {
	var b strings.Builder
	for word := range strings.SplitSeq(string(s), "_") {
		b.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	return b.String()
}

// patchRows are the patches that the record counts. A record of -1 counts has none.
func (i *Instance) patchRows() []ssmtypes.PatchComplianceData {
	if i.record == nil || i.record.bad {
		return nil
	}
	c := i.record.counts
	var rows []ssmtypes.PatchComplianceData
	add := func(n int, state ssmtypes.PatchComplianceDataState) {
		for range n {
			rows = append(rows, i.patchRow(len(rows), state))
		}
	}
	add(c.installed, ssmtypes.PatchComplianceDataStateInstalled)
	add(c.pending, ssmtypes.PatchComplianceDataStateInstalledPendingReboot)
	add(c.failed, ssmtypes.PatchComplianceDataStateFailed)
	add(c.missing, ssmtypes.PatchComplianceDataStateMissing)
	extra := func(n int, name string, state ssmtypes.PatchComplianceDataState) {
		for m := range n {
			row := i.named(fmt.Sprintf("%s-%d", name, m+1), 1000+m)
			row.State, row.InstalledTime = state, aws.Time(noTime())
			rows = append(rows, row)
		}
	}
	extra(otherPatches, "vendor-agent", ssmtypes.PatchComplianceDataStateInstalledOther)
	extra(c.rejected, "telnet", ssmtypes.PatchComplianceDataStateInstalledRejected)
	extra(notApplicable, "not-applicable", ssmtypes.PatchComplianceDataStateNotApplicable)
	return rows
}

// patchRow is the nth patch of the instance.
func (i *Instance) patchRow(n int, state ssmtypes.PatchComplianceDataState) ssmtypes.PatchComplianceData {
	age := i.patches - 1 - n
	names := packageNames()
	name := fmt.Sprintf("package-%03d", age)
	if age >= 0 && age < len(names) {
		name = names[age]
	}
	row := i.named(name, age)
	row.State, row.InstalledTime = state, aws.Time(noTime())
	switch state {
	case ssmtypes.PatchComplianceDataStateMissing, ssmtypes.PatchComplianceDataStateFailed:
		if !i.apt() && i.Platform != fleetfile.MacOS && strings.HasPrefix(*row.Classification, "Security") {
			row.CVEIds = aws.String(fmt.Sprintf("CVE-2025-%d,CVE-2025-%d", 10001+2*age, 10002+2*age))
		}
	default:
		if !i.apt() {
			row.InstalledTime = aws.Time(i.installedAt(n))
		}
	}
	return row
}

// installedAt is when the nth patch was installed.
func (i *Instance) installedAt(n int) time.Time {
	for _, b := range i.batches {
		if n < b.upTo {
			return b.at
		}
	}
	return noTime()
}

// noTime is what stands for a time that nobody knows.
func noTime() time.Time { return time.Unix(0, 0).UTC() }

// apt tells whether the operating system is one whose payload knows neither times nor CVEs. Source: TK
// package_matcher.py.
func (i *Instance) apt() bool {
	name := strings.ToLower(i.PlatformName)
	return strings.HasPrefix(name, "ubuntu") || strings.HasPrefix(name, "debian")
}

// named is a patch by the ids that its platform uses: packages on Linux, numbers of the knowledge base on Windows.
// Source: TK package_matcher.py; docs/aws-semantics.md 2.9.
func (i *Instance) named(name string, age int) ssmtypes.PatchComplianceData {
	version := fmt.Sprintf("%d.%d-%d", 1+age%7, age%13, 1+age%3)
	id, title, class := name+".x86_64", name+".x86_64:0:"+version, []string{"Security", "Security", "Bugfix"}
	switch {
	case i.Platform == fleetfile.Windows:
		id = fmt.Sprintf("KB%d", 5040000+age)
		title, class = fmt.Sprintf("Update for Windows Server, %s (%s)", name, id),
			[]string{"SecurityUpdates", "SecurityUpdates", "Updates"}
	case i.Platform == fleetfile.MacOS:
		id, title = name, name+"."+version
	case i.apt():
		id, title = name+".amd64", name+".amd64:"+version
	}
	return ssmtypes.PatchComplianceData{
		KBId: aws.String(id), Title: aws.String(title), Classification: aws.String(class[max(age, 0)%3]),
		Severity: aws.String([]string{"Critical", "Important", "Medium", "Low"}[max(age, 0)%4]),
	}
}

// packageNames are those of the newest patches, the newest first.
func packageNames() []string {
	return []string{
		"kernel", "openssl-libs", "glibc", "systemd", "curl", "sudo", "openssh-server", "python3", "libxml2", "bind-utils",
		"krb5-libs", "expat", "sqlite-libs", "tar", "gnutls", "libcurl", "less", "vim-minimal", "nss", "libssh", "zlib",
	}
}
