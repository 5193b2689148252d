package projectedvolume

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"time"
)

// leftVolume is what an earlier process left of a volume.
type leftVolume struct {
	written, goodUntil time.Time
}

// left are the volumes that an earlier process left, by the names of the directories of the pod and of the volume.
type left map[string]map[string]leftVolume

// findLeft looks at all volumes that are there. What can't be read counts as not there: the writer will say what is wrong with it.
func findLeft(root directory) (left, error) {
	names, err := podDirectories(root)
	found := left{}
	for _, name := range names {
		volumes, err := root.openAll(podsDirectory, name, volumesDirectory)
		if err != nil {
			continue
		}
		entries, err := fs.ReadDir(volumes.FS(), ".")
		if err != nil {
			entries = nil
		}
		for _, entry := range entries {
			if volume, ok := lookAt(volumes, entry); ok {
				if found[name] == nil {
					found[name] = map[string]leftVolume{}
				}
				found[name][entry.Name()] = volume
			}
		}
		if err := volumes.Close(); err != nil {
			return nil, err
		}
	}
	return found, err
}

// lookAt looks at the files of one volume.
func lookAt(volumes directory, entry fs.DirEntry) (leftVolume, bool) {
	if !entry.IsDir() {
		return leftVolume{}, false
	}
	volume, err := volumes.open(entry.Name())
	if err != nil {
		return leftVolume{}, false
	}
	defer volume.Close() //nolint:errcheck // it was read only
	data, ok := current(volume)
	if !ok {
		return leftVolume{}, false
	}
	info, err := volume.Lstat(data)
	if err != nil {
		return leftVolume{}, false
	}
	found := leftVolume{written: info.ModTime()}
	err = fs.WalkDir(volume.FS(), data, func(p string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := volume.ReadFile(p)
		if end, ok := endOfToken(content); ok && (found.goodUntil.IsZero() || end.Before(found.goodUntil)) {
			found.goodUntil = end
		}
		return err
	})
	return found, err == nil
}

// endOfToken reads when a token ends, if the content of a file is one. Nothing is verified and nothing decided by it: it is reported.
func endOfToken(content []byte) (time.Time, bool) {
	parts := bytes.Split(content, []byte("."))
	if len(parts) != 3 {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(string(parts[1]))
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Exp <= 0 || claims.Exp > math.MaxInt32*100 {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Exp), 0), true
}

// podDirectories are the names of the pods' directories that exist. Directories with other names are none of the agent's.
func podDirectories(root directory) ([]string, error) {
	pods, err := root.open(podsDirectory)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(pods.FS(), ".")
	var names []string
	for _, entry := range entries {
		if entry.IsDir() && isDirectoryName(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names, errors.Join(err, pods.Close())
}
