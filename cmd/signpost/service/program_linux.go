package service

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetProgram gives back the pages of the program's own file that it has touched, many of
// which only the start needed. Those in use come back at once, from the kernel's cache of
// the file. It returns how many bytes of them were resident.
func forgetProgram() int {
	forgotten := 0
	for _, m := range programMappings() {
		if _, _, err := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); err == 0 {
			forgotten += m.resident
		}
	}
	return forgotten
}

// A mapping is part of a file in memory.
type mapping struct {
	from, to uintptr
	resident int // bytes
}

// programMappings returns where the program's file is in memory, without what differs from
// the file: data, and what the dynamic linker has written.
func programMappings() (all []mapping) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	smaps, err := os.ReadFile("/proc/self/smaps") // proc(5)
	if err != nil {
		return nil
	}
	var m mapping
	var isProgram bool
	for lines := bufio.NewScanner(bytes.NewReader(smaps)); lines.Scan(); {
		line := lines.Text()
		var kib int
		switch name, _, _ := strings.Cut(line, " "); name {
		case "Rss:":
			_, _ = fmt.Sscanf(line, "Rss: %d kB", &kib)
			m.resident = kib << 10
		case "Anonymous:":
			if _, err := fmt.Sscanf(line, "Anonymous: %d kB", &kib); err == nil && kib == 0 && isProgram {
				all = append(all, m)
			}
		default:
			if strings.HasSuffix(name, ":") {
				continue
			}
			var permissions string
			m = mapping{}
			_, err := fmt.Sscanf(line, "%x-%x %s", &m.from, &m.to, &permissions)
			isProgram = err == nil && strings.HasSuffix(line, " "+program) && !strings.Contains(permissions, "w")
		}
	}
	return all
}
