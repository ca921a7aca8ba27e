package phone

import (
	"fmt"

	"github.com/beevik/etree"
)

// presence reads a presence document, pidf+xml (RFC 3863) or xpidf+xml, as phones
// do that show Online, Busy and Away: what it comes to is in Dialog, as open, closed
// or busy; a note is in RemoteName, the contact in RemoteTarget.
func (l *Lamp) presence(root *etree.Element) error {
	l.Entity = root.SelectAttrValue("entity", "")
	l.Version = int(l.CSeq) // it has none of its own
	if p := root.SelectElement("presentity"); p != nil {
		return l.presentity(root, p)
	}
	tuple := root.SelectElement("tuple")
	basic := root.FindElement("./tuple/status/basic")
	if tuple == nil || basic == nil {
		return fmt.Errorf("no status")
	}
	l.Dialog = basic.Text()
	if c := tuple.SelectElement("contact"); c != nil {
		l.RemoteTarget = c.Text()
	}
	if n := root.SelectElement("note"); n != nil {
		l.RemoteName = n.Text()
	}
	if root.FindElement("./dm:person/rpid:activities/rpid:on-the-phone") != nil && l.Dialog == "open" {
		l.Dialog = "busy"
	}
	return nil
}

func (l *Lamp) presentity(root, p *etree.Element) error {
	l.Entity = p.SelectAttrValue("uri", "")
	sub := root.FindElement("./atom/address/msnsubstatus")
	state := map[string]string{"online": "open", "onthephone": "busy", "offline": "closed"}
	if sub == nil || state[sub.SelectAttrValue("substatus", "")] == "" {
		return fmt.Errorf("no substatus")
	}
	l.Dialog = state[sub.SelectAttrValue("substatus", "")]
	return nil
}
