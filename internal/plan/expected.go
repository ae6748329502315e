package plan

import (
	"time"

	"ec2patch/internal/patch"
)

// What one instance takes, typically: the means of what people see, for an
// orientation of whoever approves. Nothing is decided by them.
const (
	LinuxInstall   = 9 * time.Minute
	WindowsInstall = 22 * time.Minute
	oneReboot      = 3 * time.Minute
	oneScan        = 3 * time.Minute
)

// ExpectedTime is what one instance takes.
func ExpectedTime(operation patch.Operation, reboot patch.RebootOption, p patch.Platform) time.Duration {
	t := LinuxInstall
	switch {
	case operation == patch.Scan:
		return oneScan
	case p == patch.Windows:
		t = WindowsInstall
	}
	if reboot == patch.RebootIfNeeded {
		t += oneReboot
	}
	return t
}
