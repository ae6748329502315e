// Package report renders a run's report as JSON, CSV, HTML and text.
//
// The renderers are pure: the same report gives the same bytes, whatever the
// time, the machine or the locale. They stream into their writer, and beside
// the report itself they need memory that does not grow with the fleet.
//
// Names, reasons and command output come from other people's machines. Every
// renderer passes them through Line or Block first, so that no terminal, log,
// spreadsheet or browser takes them for anything but text.
package report
