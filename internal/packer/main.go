// Command packer builds the Lambda artifact: six static binaries and the
// bootstrap in one zip, with the same bytes from any folder.
package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"ec2patch/internal/lambdas"
)

// tags leave out the part of aws-lambda-go for the retired go1.x runtime. It
// links net/rpc, and with it html/template.
const tags = "lambda.norpc"

func names() []string {
	return append([]string{"bootstrap"}, lambdas.Binaries()...)
}

// stamp is the time of every file in the zip: the first one that the format can hold.
func stamp() time.Time { return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) }

func main() {
	arch := flag.String("arch", "arm64", "arm64 or amd64")
	out := flag.String("out", "dist/lambda.zip", "file to write")
	flag.Parse()
	if err := run(*arch, *out); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
}

func run(arch, out string) (err error) {
	if arch != "arm64" && arch != "amd64" {
		return fmt.Errorf("architecture %q is neither arm64 nor amd64", arch)
	}
	dir, err := os.MkdirTemp("", "ec2patch-package-")
	if err != nil {
		return fmt.Errorf("make a folder to build in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := build(arch, dir); err != nil {
		return err
	}
	data, err := pack(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return fmt.Errorf("make the output folder: %w", err)
	}
	if err := os.WriteFile(out, data, 0o644); err != nil {
		return fmt.Errorf("write the zip: %w", err)
	}
	sum := sha256.Sum256(data)
	fmt.Printf("%s  %d bytes  linux/%s\nsha256 %x\nArtifactSha256 %s\n", out, len(data), arch, sum,
		base64.StdEncoding.EncodeToString(sum[:]))
	return nil
}

// build compiles all binaries in one call. No path, build id or version control
// state gets into them.
func build(arch, dir string) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-tags", tags, "-ldflags", "-s -w -buildid=", "-o",
		dir + string(filepath.Separator)}
	for _, n := range names() {
		args = append(args, "./cmd/"+n)
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	return nil
}

// pack zips the binaries in a fixed order, executable and without a time of their own.
func pack(dir string) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, n := range names() {
		h := &zip.FileHeader{Name: n, Method: zip.Deflate, Modified: stamp()}
		h.SetMode(0o755)
		w, err := z.CreateHeader(h)
		if err != nil {
			return nil, fmt.Errorf("zip %s: %w", n, err)
		}
		if err := copyFile(w, filepath.Join(dir, n)); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("close the zip: %w", err)
	}
	return b.Bytes(), nil
}

func copyFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	if _, err := io.Copy(w, f); err != nil {
		return fmt.Errorf("zip %s: %w", path, err)
	}
	return nil
}
