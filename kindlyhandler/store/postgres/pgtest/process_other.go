//go:build unix && !linux

package pgtest

import (
	"os/exec"
	"syscall"
)

// unprivileged makes a command run as a user that is not root.
func unprivileged(command *exec.Cmd) {
	if uid, gid, ok := servant(); ok {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	}
}

func lockThread() {}
