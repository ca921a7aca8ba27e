package blf

import "testing"

func TestVendors(t *testing.T) {
	for _, tt := range []struct{ agent, vendor string }{
		{"Yealink SIP-T46S 66.84.0.15", "yealink"},
		{"PolycomVVX-VVX_411-UA/5.9.5.0614", "poly"},
		{"PolyEdge-Edge_E350-UA/8.0.1", "poly"},
		{"OBIHAI/OBi1062-5.1.11.4858", "obi"},
		{"snom370/8.7.3.25", "snom"},
		{"snomD785/10.1.54.13", "snom"},
		{"Grandstream GXP2170 1.0.9.132", "grandstream"},
		{"Cisco/SPA504G-7.6.2c", "cisco"},
		{"Linksys/SPA942-6.1.5(a)", "cisco"},
		{"Fanvil X5S 2.2.1", "fanvil"},
		{"Aastra 6757i/3.3.1.4358", "mitel"},
		{"Mitel 6869i/5.1.0", "mitel"},
		{"Gigaset N510 IP PRO/42.256", "gigaset"},
		{"Bria 5 release 5.9.2", "bria"},
		{"Linphone/5.1.65", "linphone"},
		{"LinphoneAndroid/5.0", "linphone"},
		{"baresip v1.0.0 (x86_64/linux)", "baresip"},
		{"Twinkle/1.10.2", "twinkle"},
		{"Asterisk PBX, not a yealink", ""},
		{"", ""},
	} {
		got := ""
		for _, v := range Vendors {
			if v.Agent.MatchString(tt.agent) {
				got = v.Name
				if ProfileOf(tt.agent) != v.Profile {
					t.Errorf("profile of %q", tt.agent)
				}
				break
			}
		}
		if got != tt.vendor {
			t.Errorf("%q is %q, want %q", tt.agent, got, tt.vendor)
		}
	}
}
