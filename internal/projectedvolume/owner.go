package projectedvolume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	corev1 "k8s.io/api/core/v1"
)

// unset stands for a user or group that is left as it is.
const unset = -1

// Modes of directories. A kubelet gives the volume 0777, and mounts it read-only; nothing is mounted here, so nobody but the agent
// gets the right to write.
const (
	directoryMode      fs.FileMode = 0o755
	groupDirectoryMode fs.FileMode = 0o755 | fs.ModeSetgid
	// groupReads is added to the mode of each file of a pod with an fsGroup.
	groupReads fs.FileMode = 0o440
	// userReads is the mode of tokens of a pod whose containers all run as one user.
	userReads fs.FileMode = 0o600
)

// ownership is the mode and the owner of a file or a directory.
type ownership struct {
	mode     fs.FileMode
	uid, gid int
}

// modeBits are those bits of a mode that chmod sets.
const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// matches reports whether a file has this mode and owner.
func (o ownership) matches(info fs.FileInfo) bool {
	return info.Mode()&modeBits == o.mode && (o.uid == unset || o.uid == ownerOf(info)) && (o.gid == unset || o.gid == groupOf(info))
}

// apply gives an open file the mode and the owner. The owner comes first, since a change of it clears bits of the mode.
func (o ownership) apply(file *os.File) error {
	info, err := file.Stat()
	if err != nil || o.matches(info) {
		return err
	}
	uid, gid := o.uid, o.gid
	if uid == ownerOf(info) {
		uid = unset
	}
	if gid == groupOf(info) {
		gid = unset
	}
	if uid != unset || gid != unset {
		if err := file.Chown(uid, gid); err != nil {
			return o.explain(err)
		}
	}
	return file.Chmod(o.mode)
}

// explain says what to do when a file could not be given away.
func (o ownership) explain(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return permanent(fmt.Errorf("the files belong to user %s and group %s (runAsUser and fsGroup of the pod), and the agent, which runs as user %d, may not give files away: "+
		"run the agent as root, or as that user and in that group, or leave runAsUser and fsGroup out of the pod: %w", orOwn(o.uid), orOwn(o.gid), os.Geteuid(), err))
}

func orOwn(id int) string {
	if id == unset {
		return "of the agent"
	}
	return fmt.Sprint(id)
}

// owners are the user and the group that a pod asks for.
type owners struct{ user, group *int64 }

// ownersOf reads a pod's owners. The user counts if all containers have it in common.
func ownersOf(pod *corev1.Pod) owners {
	var o owners
	var general *int64
	if security := pod.Spec.SecurityContext; security != nil {
		general, o.group = security.RunAsUser, security.FSGroup
	}
	first, common := true, true
	for _, own := range containerUsers(pod) {
		user := general
		if own != nil {
			user = own
		}
		switch {
		case user == nil, !first && *user != *o.user:
			common = false
		default:
			o.user = user
		}
		if !common {
			break
		}
		first = false
	}
	if !common {
		o.user = nil
	}
	return o
}

// containerUsers are the users that the containers of a pod name themselves, nil where one names none.
func containerUsers(pod *corev1.Pod) []*int64 {
	var users []*int64
	add := func(security *corev1.SecurityContext) {
		if security == nil {
			users = append(users, nil)
			return
		}
		users = append(users, security.RunAsUser)
	}
	for i := range pod.Spec.InitContainers {
		add(pod.Spec.InitContainers[i].SecurityContext)
	}
	for i := range pod.Spec.Containers {
		add(pod.Spec.Containers[i].SecurityContext)
	}
	for i := range pod.Spec.EphemeralContainers {
		add(pod.Spec.EphemeralContainers[i].SecurityContext)
	}
	return users
}

// gid is the group of the pod's files, and the agent's own without one.
func (o owners) gid() int {
	if o.group != nil {
		return int(*o.group)
	}
	return os.Getegid()
}

// token is the ownership of a file with a token.
func (o owners) token(defaultMode fs.FileMode) ownership {
	result := ownership{mode: defaultMode, uid: unset, gid: o.gid()}
	if o.user != nil {
		result.uid, result.mode = int(*o.user), userReads
	}
	if o.group != nil {
		result.mode = userReads | groupReads
	}
	return result
}

// file is the ownership of a file of any other source.
func (o owners) file(mode fs.FileMode) ownership {
	if o.group != nil {
		mode |= groupReads
	}
	return ownership{mode: mode, uid: unset, gid: o.gid()}
}

// directory is the ownership of the volume and of the directories in it.
func (o owners) directory() ownership {
	if o.group != nil {
		return ownership{mode: groupDirectoryMode, uid: unset, gid: o.gid()}
	}
	return ownership{mode: directoryMode, uid: unset, gid: o.gid()}
}
