package geo_test

import (
	"testing"

	"github.com/signpost-fm/signpost/geo"
)

// Cities, many of them close to a border, as people write where a server stands.
func TestCountryAt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		city     string
		lat, lon float32
		want     string
	}{
		{"Frankfurt", 50.1, 8.7, "DE"}, {"Amsterdam", 52.4, 4.9, "NL"}, {"New York", 40.7, -74, "US"}, {"Los Angeles", 34, -118.2, "US"},
		{"Strasbourg", 48.58, 7.75, "FR"}, {"Geneva", 46.2, 6.15, "CH"}, {"Basel", 47.55, 7.59, "CH"}, {"Luxembourg", 49.6, 6.1, "LU"},
		{"Salzburg", 47.8, 13.05, "AT"}, {"Copenhagen", 55.7, 12.6, "DK"}, {"Malmö", 55.6, 13, "SE"}, {"Helsinki", 60.2, 24.9, "FI"},
		{"Detroit", 42.33, -83.05, "US"}, {"Toronto", 43.7, -79.4, "CA"}, {"Montréal", 45.5, -73.6, "CA"}, {"Tijuana", 32.5, -117, "MX"},
		{"Singapore", 1.35, 103.8, "SG"}, {"Hong Kong", 22.3, 114.2, "HK"}, {"Macao", 22.19, 113.54, "MO"}, {"Shenzhen", 22.6, 114.06, "CN"},
		{"Mumbai", 19.1, 72.9, "IN"}, {"Tokyo", 35.7, 139.7, "JP"}, {"Sydney", -33.9, 151.2, "AU"}, {"Auckland", -36.8, 174.8, "NZ"},
		{"São Paulo", -23.5, -46.6, "BR"}, {"Montevideo", -34.9, -56.2, "UY"}, {"Lagos", 6.5, 3.4, "NG"}, {"Johannesburg", -26.2, 28, "ZA"},
		{"Cape Town", -33.9, 18.4, "ZA"}, {"Dubai", 25.2, 55.3, "AE"}, {"Tel Aviv", 32.1, 34.8, "IL"}, {"Pristina", 42.7, 21.2, "XK"},
		{"Moscow", 55.8, 37.6, "RU"}, {"Vladivostok", 43.1, 131.9, "RU"}, {"Reykjavik", 64.1, -21.9, "IS"}, {"Saint-Denis", -20.9, 55.4, "RE"},
		{"Cayenne", 4.9, -52.3, "GF"}, {"Longyearbyen", 78.2, 15.6, "SJ"}, {"Willemstad", 12.1, -68.9, "CW"}, {"Kralendijk", 12.2, -68.3, "BQ"},
		{"Suva", -18.1, 178.4, "FJ"}, {"Rome", 41.9, 12.5, "IT"}, {"Malta", 35.9, 14.5, "MT"}, {"Gibraltar", 36.14, -5.35, "GI"},
		{"Monaco", 43.74, 7.43, "MC"}, {"Vaduz", 47.14, 9.52, "LI"},
		{"McMurdo", -77.8, 166.7, "AQ"}, {"mid-Atlantic", 30, -40, ""}, {"the date line", 0, 180, ""}, {"the North Pole", 90, -180, ""},
		{"none", 91, 0, ""}, {"none", 0, 181, ""},
	} {
		if got := geo.CountryAt(c.lat, c.lon).String(); got != c.want {
			t.Errorf("%s at %g,%g is in %q, want %q", c.city, c.lat, c.lon, got, c.want)
		}
	}
}
