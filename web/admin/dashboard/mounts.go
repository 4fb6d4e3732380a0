package dashboard

import "net/http"

func (d *dashboard) mounts(*http.Request) (any, error) {
	return d.api.Mounts()
}
