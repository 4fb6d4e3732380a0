package simulate

import (
	"os"
	"strconv"
	"strings"
)

// AvailableMemory returns how many bytes of memory are free or can be freed; 0: not known,
// as on systems other than Linux. A limit of the control group counts, too.
func AvailableMemory() uint64 {
	var free uint64
	info, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemAvailable:" {
			kb, _ := strconv.ParseUint(f[1], 10, 64)
			free = kb << 10
		}
	}
	limit, used := number("/sys/fs/cgroup/memory.max"), number("/sys/fs/cgroup/memory.current")
	if limit > 0 && limit > used && (free == 0 || limit-used < free) {
		free = limit - used
	}
	return free
}

// number reads a file with one number; 0: there is none.
func number(name string) uint64 {
	b, _ := os.ReadFile(name)
	n, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n
}
