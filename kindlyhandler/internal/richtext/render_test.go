package richtext

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const rel = ` rel="nofollow noopener noreferrer"`

func TestRender(t *testing.T) {
	for _, test := range []struct {
		name, message        string
		text, markdown, html string
	}{
		{
			name: "nothing",
		},
		{
			name: "blank", message: " \n<p>&nbsp;</p><br><b> </b><ul><li></ul>",
		},
		{
			name: "plain", message: "create ticket",
			text: "create ticket", markdown: "create ticket", html: "create ticket",
		},
		{
			name: "plain, not ASCII", message: "Hvor er pakken på 5 kg? 👍🏽 👨‍👩‍👧",
			text: "Hvor er pakken på 5 kg? 👍🏽 👨‍👩‍👧", markdown: "Hvor er pakken på 5 kg? 👍🏽 👨‍👩‍👧", html: "Hvor er pakken på 5 kg? 👍🏽 👨‍👩‍👧",
		},
		{
			name: "plain lines", message: "  a\r\nb \t c\n\n\n\nd\re\u2028f\n",
			text: "a\nb c\n\nd\ne\nf", markdown: "a\\\nb c\n\nd\\\ne\\\nf", html: "a<br>b c<br><br>d<br>e<br>f",
		},
		{
			name: "plain with signs", message: "a < b && c > d",
			text: "a < b && c > d", markdown: "a &lt; b &amp;&amp; c &gt; d", html: "a &lt; b &amp;&amp; c &gt; d",
		},
		{
			name: "entities in plain text", message: "Fish &amp; chips &lt;3 &#x41;&#66; &nosuch; &amp;amp;",
			text: "Fish & chips <3 AB &nosuch; &amp;", markdown: "Fish &amp; chips &lt;3 AB &amp;nosuch; &amp;amp;",
			html: "Fish &amp; chips &lt;3 AB &amp;nosuch; &amp;amp;",
		},
		{
			name: "no entities", message: "?a=1&copy=2&region;=3 &; &#; &",
			text: "?a=1&copy=2&region;=3 &; &#; &", markdown: "?a=1&amp;copy=2&amp;region;=3 &amp;; &amp;#; &amp;",
			html: "?a=1&amp;copy=2&amp;region;=3 &amp;; &amp;#; &amp;",
		},
		{
			name: "markup and entities", message: "Pakken min er ødelagt <b>&amp;</b> våt <script>alert(1)</script>",
			text: "Pakken min er ødelagt & våt", markdown: "Pakken min er ødelagt **&amp;** våt",
			html: "Pakken min er ødelagt <b>&amp;</b> våt",
		},
		{
			name: "paragraph and break", message: "<p>Hei! Hva kan jeg hjelpe deg med?<br/>Velg et tema:</p>",
			text: "Hei! Hva kan jeg hjelpe deg med?\nVelg et tema:", markdown: "Hei! Hva kan jeg hjelpe deg med?\\\nVelg et tema:",
			html: "<p>Hei! Hva kan jeg hjelpe deg med?<br>Velg et tema:</p>",
		},
		{
			name: "paragraphs", message: "<p>a</p>\n\n<p></p><p>b<p>c</p><br><br><br>d",
			text: "a\n\nb\n\nc\n\nd", markdown: "a\n\nb\n\nc\n\nd", html: "<p>a</p><p>b</p><p>c</p>d",
		},
		{
			name: "blocks", message: "<div>a</div><div><div>b</div></div><div><br></div>c<hr>d<table><tr><td>e</td><td>f</td></tr><tr><td>g</table>",
			text: "a\nb\n\nc\n\nd\ne f\ng", markdown: "a\\\nb\n\nc\n\nd\\\ne f\\\ng", html: "a<br>b<br><br>c<br><br>d<br>e f<br>g",
		},
		{
			name: "heading", message: "<h2>a <i>b</i></h2>c",
			text: "a b\n\nc", markdown: "**a** ***b***\n\nc", html: "<p><b>a <i>b</i></b></p>c",
		},
		{
			name: "white space", message: "<i></i>  a \n\t b<b> c </b> d&nbsp; e<br> f ",
			text: "a b c d\u00A0 e\nf", markdown: "a b **c** d\u00A0 e\\\nf", html: "a b <b>c</b> d\u00A0 e<br>f",
		},
		{
			name: "lists", message: "Velg:<ul><li>a</li><li><p>b</p></li><li>c<ol><li>d<li>e</ol></li></ul>f",
			text: "Velg:\n\n- a\n- b\n- c\n  1. d\n  2. e\n\nf", markdown: "Velg:\n\n- a\n- b\n- c\n  1. d\n  2. e\n\nf",
			html: "Velg:<ul><li>a</li><li><p>b</p></li><li>c<ol><li>d</li><li>e</li></ol></li></ul>f",
		},
		{
			name: "lists in a row", message: "<ul><li>a</ul><ul><li>b</ul><ol><li>c</ol><ol><li>d</ol>",
			text: "- a\n\n- b\n\n1. c\n\n1. d", markdown: "- a\n\n* b\n\n1. c\n\n1) d",
			html: "<ul><li>a</li></ul><ul><li>b</li></ul><ol><li>c</li></ol><ol><li>d</li></ol>",
		},
		{
			name: "long list", message: "<ol><li>1<li>2<li>3<li>4<li>5<li>6<li>7<li>8<li>9<li>a<br>b</ol>",
			text:     "1. 1\n2. 2\n3. 3\n4. 4\n5. 5\n6. 6\n7. 7\n8. 8\n9. 9\n10. a\n    b",
			markdown: "1. 1\n2. 2\n3. 3\n4. 4\n5. 5\n6. 6\n7. 7\n8. 8\n9. 9\n10. a\\\n    b",
			html:     "<ol><li>1</li><li>2</li><li>3</li><li>4</li><li>5</li><li>6</li><li>7</li><li>8</li><li>9</li><li>a<br>b</li></ol>",
		},
		{
			name: "items without a list, text without an item", message: "a<li>b<li>c</li>d<ul>e</ul>",
			text: "a\n\n- b\n- c\n\nd\n\n- e", markdown: "a\n\n- b\n- c\n\nd\n\n- e",
			html: "a<ul><li>b</li><li>c</li></ul>d<ul><li>e</li></ul>",
		},
		{
			name: "too deep", message: "<ul><li>1<ul><li>2<ul><li>3<ul><li>4<ul><li>5<blockquote>6</blockquote></ul>7</ul>8</ul>",
			text:     "- 1\n  - 2\n    - 3\n      - 4\n        5\n\n        6\n\n        7\n      8",
			markdown: "- 1\n  - 2\n    - 3\n      - 4\\\n        5\n\n        6\n\n        7\n\n      8",
			html:     "<ul><li>1<ul><li>2<ul><li>3<ul><li>4<br>5<br><br>6<br><br>7</li></ul>8</li></ul></li></ul></li></ul>",
		},
		{
			name: "item too deep for a list", message: "<blockquote><blockquote><blockquote><blockquote>a<li>b</blockquote></br>c",
			text: "> > > > a\n> > > > b\n> > >\n> > > c", markdown: "> > > > a\\\n> > > > b\n> > >\n> > > c",
			html: "<blockquote><blockquote><blockquote><blockquote>a<br>b</blockquote>c</blockquote></blockquote></blockquote>",
		},
		{
			name: "quotes", message: "a<blockquote>b<br>c<p>d</p><blockquote>e</blockquote></blockquote><blockquote>f</blockquote>",
			text: "a\n\n> b\n> c\n>\n> d\n>\n> > e\n\n> f", markdown: "a\n\n> b\\\n> c\n>\n> d\n>\n> > e\n\n> f",
			html: "a<blockquote>b<br>c<p>d</p><blockquote>e</blockquote></blockquote><blockquote>f</blockquote>",
		},
		{
			name: "preformatted", message: "<pre>if  a &lt; b {\n\t<b>```</b>\n\n\n}</pre>",
			text: "if  a < b {\n    ```\n\n}", markdown: "````\nif  a < b {\n    ```\n\n}\n````", html: "<pre>if  a &lt; b {\n    ```\n\n}</pre>",
		},
		{
			name: "styles", message: "<strong>a</strong> <em>b</em> <u>c</u> <del>d</del> <code>e`f</code> <tt>`</tt>",
			text: "a b c d e`f `", markdown: "**a** *b* c ~~d~~ `` e`f ` ``",
			html: "<b>a</b> <i>b</i> <u>c</u> <s>d</s> <code>e`f `</code>",
		},
		{
			name: "styles in a word", message: "a<b>b</b>c <b>d</b><i>e</i> f<b>!</b>g <b>h<i>i</i></b>",
			text: "abc de f!g hi", markdown: "a**b**c de f!g **hi**", html: "a<b>b</b>c <b>d</b><i>e</i> f<b>!</b>g <b>h<i>i</i></b>",
		},
		{
			name: "styles that overlap and never end", message: "<b>a <i>b</b> c<p>d",
			text: "a b c\n\nd", markdown: "**a** ***b*** *c*\n\n*d*", html: "<b>a <i>b</i></b><i> c</i><p><i>d</i></p>",
		},
		{
			name: "link", message: `Hei. <a href="https://example.no/retur?a=(1)&amp;b=2" onclick="x()" style="y">Fyll <b>ut</b></a>.`,
			text:     "Hei. Fyll ut (https://example.no/retur?a=(1)&b=2).",
			markdown: `Hei. [Fyll **ut**](https://example.no/retur?a=\(1\)&amp;b=2).`,
			html:     `Hei. <a href="https://example.no/retur?a=(1)&amp;b=2"` + rel + `>Fyll <b>ut</b></a>.`,
		},
		{
			name: "links that show their address", message: `<a href="https://example.no">https://example.no</a> <a href="mailto:kari@example.no">kari@example.no</a>`,
			text:     "https://example.no kari@example.no",
			markdown: "[https&#58;//example.no](https://example.no) [kari&#64;example.no](mailto:kari@example.no)",
			html:     `<a href="https://example.no"` + rel + `>https://example.no</a> <a href="mailto:kari@example.no"` + rel + `>kari@example.no</a>`,
		},
		{
			name: "links that must not be", message: `<a href="javascript:alert(1)">a</a> <a href="/b">b</a> <a href="data:,x">c</a> <a>d</a> <a href=" java&#10;script:x">e</a> <a href="//x">f</a>`,
			text: "a b c d e f", markdown: "a b c d e f", html: "a b c d e f",
		},
		{
			name: "link in a link, over lines", message: `<a href="tel:1">a<a href="tel:2">b<br>c<p>d</a>`,
			text: "a (tel:1)b c (tel:2)\n\nd", markdown: "[a](tel:1)[b c](tel:2)\n\nd",
			html: `<a href="tel:1"` + rel + `>a</a><a href="tel:2"` + rel + `>b c</a><p>d</p>`,
		},
		{
			name: "image", message: `se<img src="https://example.no/a b.png" alt=" skaden&#10; ">her <img src="https://example.no/b.png"><img alt="c" src="data:image/png;base64,x"><img src="cid:d">`,
			text:     "se skaden (https://example.no/a%20b.png) her https://example.no/b.png c",
			markdown: "se [skaden](https://example.no/a%20b.png) her [https&#58;//example.no/b.png](https://example.no/b.png) c",
			html:     `se <a href="https://example.no/a%20b.png"` + rel + `>skaden</a> her <a href="https://example.no/b.png"` + rel + `>https://example.no/b.png</a> c`,
		},
		{
			name: "image in a link", message: `<a href="https://example.no/"><img src="https://example.no/b.png" alt="kart"></a>`,
			text: "kart (https://example.no/)", markdown: "[kart](https://example.no/)",
			html: `<a href="https://example.no/"` + rel + `>kart</a>`,
		},
		{
			name: "no image", message: `Hei!<a href="tel:1">x</a>`,
			text: "Hei!x (tel:1)", markdown: `Hei\![x](tel:1)`, html: `Hei!<a href="tel:1"` + rel + `>x</a>`,
		},
		{
			name: "no check box", message: `<ul><li><a href="tel:1">x</a> [ ] a`,
			text: "- x (tel:1) [ ] a", markdown: `- [&#120;](tel:1) \[ \] a`, html: `<ul><li><a href="tel:1"` + rel + `>x</a> [ ] a</li></ul>`,
		},
		{
			name:    "hidden",
			message: "a<style>b</style><script>c<!-- </script><template>d<template>e</template>f</template><noscript>g</noscript><iframe>h</iframe><svg><text>i</text></svg><math><mi>j</math><svg/><title>k</title>l<script/>m",
			text:    "al", markdown: "al", html: "al",
		},
		{
			name: "comments", message: "a<!-- b --><!DOCTYPE c><![CDATA[d]]><?e?>f",
			text: "af", markdown: "af", html: "af",
		},
		{
			name: "what only looks like markup", message: "<kari@example.no> <https://example.no> </3 <3 <kål> <b x",
			text:     "<kari@example.no> <https://example.no> </3 <3 <kål> <b x",
			markdown: "&lt;kari&#64;example.no&gt; &lt;[https&#58;//example.no](https://example.no)&gt; &lt;/3 &lt;3 &lt;kål&gt; &lt;b x",
			html:     "&lt;kari@example.no&gt; &lt;https://example.no&gt; &lt;/3 &lt;3 &lt;kål&gt; &lt;b x",
		},
		{
			name: "never ended", message: `<p>a<b>b <img src="https://example.no/`,
			text: `ab <img src="https://example.no/`, markdown: `a**b &lt;img src="**[**https&#58;//example.no/**](https://example.no/)`,
			html: "<p>a<b>b &lt;img src=&#34;https://example.no/</b></p>",
		},
		{
			name: "unknown elements and attributes", message: `<kindly-card class="x"><o:p onmouseover="y">a</o:p><font color=red id=z>b</font></kindly-card><input value=c><form action=d>e`,
			text: "ab\ne", markdown: "ab\\\ne", html: "ab<br>e",
		},
		{
			name: "characters", message: "a\x00b\x1b[31mc\u0085d\u202Ee\u2066f\u2069\u009Bg\xff\xfeh&#27;i&#x202e;j\u200Fk",
			text: "ab[31mc\ndefg\uFFFDhij\u200Fk", markdown: "ab\\[31mc\\\ndefg\uFFFDhij\u200Fk", html: "ab[31mc<br>defg\uFFFDhij\u200Fk",
		},
		{
			name: "inert lines", message: "# a\n> b\n- c\n+ d\n* e\n1. f\n2) g\n=\n---\n~~~\n| h |\n:-\n/close\n;;;\n```",
			text: "# a\n> b\n- c\n+ d\n* e\n1. f\n2) g\n=\n---\n~~~\n| h |\n:-\n/close\n;;;\n```",
			markdown: "\\# a\\\n&gt; b\\\n\\- c\\\n\\+ d\\\n\\* e\\\n1\\. f\\\n2\\) g\\\n\\=\\\n\\---\\\n&#126;&#126;&#126;\\\n\\| h \\|\\\n\\:-\\\n" +
				"\\/close\\\n\\;;;\\\n&#96;&#96;&#96;",
			html: "# a<br>&gt; b<br>- c<br>+ d<br>* e<br>1. f<br>2) g<br>=<br>---<br>~~~<br>| h |<br>:-<br>/close<br>;;;<br>```",
		},
		{
			name: "URLs in text", message: "Se https://example.no/a_b?c=(1), (http://x.no/ø). ftp://x.no www.x.no http://",
			text: "Se https://example.no/a_b?c=(1), (http://x.no/ø). ftp://x.no www.x.no http://",
			markdown: `Se [https&#58;//example.no/a\_b?c=(1)](https://example.no/a_b?c=\(1\)), ([http&#58;//x.no/ø](http://x.no/%C3%B8)). ` +
				"ftp&#58;//x.no www&#46;x.no http&#58;//",
			html: "Se https://example.no/a_b?c=(1), (http://x.no/ø). ftp://x.no www.x.no http://",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := checkRender(t, test.message)
			require.Equal(t, test.text, r.Text)
			require.Equal(t, test.markdown, r.Markdown)
			require.Equal(t, test.html, r.HTML)
		})
	}
}

func TestRenderOfPlainTextAllocatesNothing(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() {
		Render("Hei, hvor er pakken min? Den skulle vært her (i går).")
	}))
}
