package kindlyhandler

import (
	"encoding/json"

	"github.com/tidwall/gjson"
)

// value returns the ticket as jq expressions see it: what encode writes, read
// again. It is made without that detour, which would cost several times as
// much. What no preset reads, the larger part of the work, is left out unless all
// is wanted.
func (ticket *Ticket) value(all bool) map[string]any {
	v := map[string]any{
		"id":               ticket.ID.String(),
		"received_at":      ticket.ReceivedAt,
		"subject":          ticket.Subject,
		"message":          ticket.Message,
		"language":         ticket.Language,
		"customer":         ticket.Customer.value(),
		"chat":             ticket.Chat.value(),
		"attachments":      rawValue(ticket.Attachments),
		"transcript":       nil,
		"transcript_error": textOrNull(ticket.TranscriptError),
		"kindly_ticket":    nil,
	}
	if all {
		messages := make([]any, len(ticket.Messages))
		for i := range ticket.Messages {
			messages[i] = ticket.Messages[i].value()
		}
		v["version"] = ticket.Version
		v["event"] = ticket.Event
		v["organization_id"] = integerOrNull(ticket.OrganizationID)
		v["bot"] = map[string]any{"id": integerOrNull(ticket.Bot.ID), "name": textOrNull(ticket.Bot.Name)}
		v["messages"] = messages
		v["context"] = rawValue(ticket.Context)
		v["source"] = map[string]any{"webhook": rawValue(ticket.Source.Webhook), "chat": rawValue(ticket.Source.Chat)}
	}
	if t := ticket.Transcript; t != nil {
		v["transcript"] = map[string]any{"text": t.Text, "markdown": t.Markdown, "html": t.HTML}
	}
	if k := ticket.KindlyTicket; k != nil {
		v["kindly_ticket"] = map[string]any{
			"id":             textOrNull(k.ID),
			"status":         textOrNull(k.Status),
			"assigned_agent": rawValue(k.AssignedAgent),
		}
	}
	return v
}

func (c *Customer) value() map[string]any {
	return map[string]any{
		"id":       textOrNull(c.ID),
		"name":     textOrNull(c.Name),
		"email":    textOrNull(c.Email),
		"phone":    textOrNull(c.Phone),
		"verified": c.Verified,
	}
}

func (c *Chat) value() map[string]any {
	labels := make([]any, len(c.Labels))
	for i, label := range c.Labels {
		labels[i] = label
	}
	return map[string]any{
		"id":      c.ID,
		"url":     textOrNull(c.URL),
		"source":  textOrNull(c.Source),
		"page":    textOrNull(c.Page),
		"labels":  labels,
		"created": textOrNull(c.Created),
		"updated": textOrNull(c.Updated),
	}
}

func (m *Message) value() map[string]any {
	return map[string]any{
		"id":          textOrNull(m.ID),
		"time":        textOrNull(m.Time),
		"sender":      m.Sender,
		"name":        textOrNull(m.Name),
		"text":        m.Text,
		"html":        m.HTML,
		"buttons":     rawValue(m.Buttons),
		"attachments": rawValue(m.Attachments),
	}
}

func textOrNull(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

func integerOrNull(n *int64) any {
	if n == nil {
		return nil
	}
	return int(*n)
}

// rawValue reads JSON that was checked before.
func rawValue(raw json.RawMessage) any { return jsonValue(gjson.ParseBytes(raw)) }

func jsonValue(v gjson.Result) any {
	switch {
	case v.Type == gjson.String:
		return v.Str
	case v.Type == gjson.Number:
		return json.Number(v.Raw)
	case v.Type == gjson.True, v.Type == gjson.False:
		return v.Type == gjson.True
	case v.IsObject():
		object := make(map[string]any)
		v.ForEach(func(key, field gjson.Result) bool {
			object[key.Str] = jsonValue(field)
			return true
		})
		return object
	case v.IsArray():
		list := []any{}
		v.ForEach(func(_, element gjson.Result) bool {
			list = append(list, jsonValue(element))
			return true
		})
		return list
	default:
		return nil
	}
}
