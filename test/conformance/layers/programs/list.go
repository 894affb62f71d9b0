// Lists archives with Go's archive/tar: paths as arguments, a JSON list on standard output, null for what it refuses.
package main

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

type listed struct {
	Path string `json:"path"`
	Kind string `json:"kind"`
	Size int64  `json:"size"`
	Mode int64  `json:"mode"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	Link string `json:"link"`
}

var kinds = map[byte]string{
	tar.TypeReg: "file", tar.TypeLink: "hard", tar.TypeSymlink: "link", tar.TypeChar: "char", tar.TypeBlock: "block",
	tar.TypeDir: "dir", tar.TypeFifo: "fifo", '7': "file", tar.TypeGNUSparse: "sparse",
}

func printable(text string) string {
	out := ""
	for _, b := range []byte(text) {
		if b >= 32 && b < 127 {
			out += string(rune(b))
		} else {
			out += fmt.Sprintf("\\x%02x", b)
		}
	}
	return out
}

func list(path string) ([]listed, error) {
	file, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	archive := tar.NewReader(file)
	found := []listed{}
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		one := listed{Path: printable(header.Name), Kind: kinds[header.Typeflag], Mode: header.Mode & 0o7777, UID: header.Uid, GID: header.Gid}
		if _, sparse := header.PAXRecords["GNU.sparse.map"]; sparse {
			one.Kind = "sparse"
		}
		if one.Kind == "hard" || one.Kind == "link" {
			one.Link = printable(header.Linkname)
		}
		if one.Kind == "" {
			one.Kind = "unknown"
		}
		if one.Kind == "file" {
			if one.Size, err = io.Copy(io.Discard, archive); err != nil {
				return nil, err
			}
		}
		found = append(found, one)
	}
}

func main() {
	all := [][]listed{}
	for _, path := range os.Args[1:] {
		found, err := list(path)
		if err != nil {
			found = nil
		}
		all = append(all, found)
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		panic(err)
	}
}
