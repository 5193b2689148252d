package projectedvolume

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	// maxPath and maxElement are the lengths, in bytes, of a path and of a name in it.
	maxPath, maxElement = 4096, 255
)

// cleanPath checks the path of a file in a volume, as it is written and after cleaning, and returns it clean. The texts are a kubelet's.
func cleanPath(written string) (string, error) {
	if err := checkPath(written); err != nil {
		return "", permanent(err)
	}
	clean := path.Clean(written)
	if clean == "." {
		return "", permanent(fmt.Errorf("invalid path: must name a file: %s", written))
	}
	if err := checkPath(clean); err != nil {
		return "", permanent(err)
	}
	return clean, nil
}

func checkPath(p string) error {
	switch {
	case p == "":
		return errors.New(`invalid path: must not be empty: ""`)
	case path.IsAbs(p):
		return fmt.Errorf("invalid path: must be relative path: %s", p)
	case len(p) > maxPath:
		return fmt.Errorf("invalid path: must be less than or equal to %d characters", maxPath)
	case strings.ContainsRune(p, 0):
		return fmt.Errorf("invalid path: must not contain a zero byte: %q", p)
	}
	elements := strings.Split(p, "/")
	if slices.Contains(elements, "..") {
		return fmt.Errorf("invalid path: must not contain '..': %s", p)
	}
	for _, element := range elements {
		if len(element) > maxElement {
			return fmt.Errorf("invalid path: filenames must be less than or equal to %d characters", maxElement)
		}
	}
	if strings.HasPrefix(elements[0], "..") {
		return fmt.Errorf("invalid path: must not start with '..': %s", p)
	}
	return nil
}

// first is the first element of a clean path: the name that is linked in the volume.
func first(clean string) string {
	element, _, _ := strings.Cut(clean, "/")
	return element
}

// checkNested refuses a path that is inside another one, which would have to be a file and a directory.
func checkNested[F any](set map[string]F) error {
	for p := range set {
		for parent := path.Dir(p); parent != "."; parent = path.Dir(parent) {
			if _, both := set[parent]; both {
				return permanent(fmt.Errorf("invalid path: %s is inside %s, which is a file", p, parent))
			}
		}
	}
	return nil
}
