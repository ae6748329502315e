package patch

// Objects of a run in the data bucket.

// The folders of a run. The roles' policies name them with a wildcard in the
// place of the run, and a wildcard of IAM matches slashes as well: an object is
// in the reach of a folder's writer wherever the folder's name stands in its key.
const (
	ChildrenFolder  = "children"
	HeadsFolder     = "heads"
	InventoryFolder = "inventory"
	LooksFolder     = "looks"
	PlanFolder      = "plan"
	ResultsFolder   = "results"
	SlicesFolder    = "slices"
)

// Folders are the names that no wave can have: a wave's name is a part of keys.
func Folders() []string {
	return []string{ChildrenFolder, HeadsFolder, InventoryFolder, LooksFolder, PlanFolder, ResultsFolder, SlicesFolder}
}
