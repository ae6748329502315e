package guard_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// yamlFile decodes a file of the repository, and refuses keys that the struct does not have.
func yamlFile(t *testing.T, name string, into any) {
	t.Helper()
	file, err := os.Open("../../" + name)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, file.Close()) })
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(into), name)
}

// What is pinned is kept up to date: the modules, and the actions of the workflows.
func TestDependabot(t *testing.T) {
	var d struct {
		Version int
		Updates []struct {
			Ecosystem string `yaml:"package-ecosystem"`
			Directory string
			Schedule  struct{ Interval string }
			Groups    map[string]struct {
				Patterns []string
				Exclude  []string `yaml:"exclude-patterns"`
			}
			Message struct{ Prefix string } `yaml:"commit-message"`
		}
	}
	yamlFile(t, ".github/dependabot.yml", &d)
	assert.Equal(t, 2, d.Version)
	var ecosystems []string
	for _, u := range d.Updates {
		ecosystems = append(ecosystems, u.Ecosystem)
		assert.Equal(t, "/", u.Directory)
		assert.Equal(t, "weekly", u.Schedule.Interval, u.Ecosystem)
		everything := false
		for _, g := range u.Groups {
			everything = everything || strings.Join(g.Patterns, "") == "*"
		}
		assert.True(t, everything, "%s: an update that is in no group comes alone", u.Ecosystem)
	}
	assert.Equal(t, []string{"gomod", "github-actions"}, ecosystems)
}

// A report of a bug has what whoever looks into it asks for first.
func TestIssueForms(t *testing.T) {
	files, err := filepath.Glob("../../.github/ISSUE_TEMPLATE/*.yml")
	require.NoError(t, err)
	ids := map[string]map[string]bool{}
	for _, path := range files {
		name := filepath.Base(path)
		if name == "config.yml" {
			continue
		}
		var form struct {
			Name, Description string
			Labels            []string
			Body              []struct {
				Type, ID    string
				Attributes  map[string]any
				Validations struct{ Required bool }
			}
		}
		yamlFile(t, ".github/ISSUE_TEMPLATE/"+name, &form)
		assert.NotEmpty(t, form.Description, name)
		ids[name] = map[string]bool{}
		for _, field := range form.Body {
			if field.Type == "markdown" {
				assert.NotEmpty(t, field.Attributes["value"], name)
				continue
			}
			assert.NotEmpty(t, field.ID, name)
			assert.NotEmpty(t, field.Attributes["label"], "%s: %s", name, field.ID)
			ids[name][field.ID] = field.Validations.Required
		}
	}
	require.Contains(t, ids, "feature.yml")
	assert.Equal(t, map[string]bool{
		"happened": true, "version": true, "where": true, "repeat": true, "digest": false, "report": false,
	}, ids["bug.yml"])
}

// The folders that need a second pair of eyes are still where CODEOWNERS says.
func TestCodeowners(t *testing.T) {
	data, err := os.ReadFile("../../.github/CODEOWNERS")
	require.NoError(t, err)
	lines := regexp.MustCompile(`(?m)^(\*|/\S+/) +@\S+`).FindAllStringSubmatch(string(data), -1)
	require.Greater(t, len(lines), 3)
	assert.Equal(t, "*", lines[0][1], "later lines overrule the one for everything")
	for _, m := range lines[1:] {
		assert.DirExists(t, "../.."+m[1])
	}
}
