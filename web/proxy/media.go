package proxy

import "strings"

// mediaType returns the type without its parameters, in lower case.
func mediaType(contentType string) string {
	typ, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(typ))
}

// isUntold reports whether a media type says nothing about the format. Some players, such
// as cmus, refuse such types.
func isUntold(typ string) bool {
	return typ == "" || typ == "application/octet-stream" || typ == "binary/octet-stream"
}

// isAudio reports whether a media type may be a stream. Playlists with an audio type are
// none. Icecast calls some Ogg streams application/ogg, and carries video as well.
func isAudio(typ string) bool {
	switch typ {
	case "audio/x-mpegurl", "audio/mpegurl", "audio/x-scpls", "audio/scpls", "video/x-ms-asf", "video/x-ms-asx", "audio/x-ms-wax":
		return false
	case "application/ogg":
		return true
	}
	return isUntold(typ) || strings.HasPrefix(typ, "audio/") || strings.HasPrefix(typ, "video/")
}

// isFramed reports whether a media type promises frames of MPEG audio or ADTS.
func isFramed(typ string) bool {
	switch typ {
	case "audio/mpeg", "audio/mp3", "audio/aac", "audio/aacp":
		return true
	}
	return false
}
