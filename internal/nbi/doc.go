// Package nbi reads NetBoot images as Apple's bootpd does, and renumbers them.
//
// An image is a folder NAME.nbi in a share point such as
// /Library/NetBoot/NetBootSP0. Its NBImageInfo.plist (XML or binary) says
// whether the server offers it and under which Index. The rules are those of
// bootplib/nbimages.c and bsdp.h in Apple's bootp; what bootpd does not read
// is not read here.
//
// # Indexes
//
// An Index below 4096 belongs to one server: the image is an item of its own
// in every client's menu. From 4096 to 65535 it is global: the same Index on
// several servers is one item, and the client picks a server. So a pair of
// servers must give the same content the same global Index, and different
// content different ones; else clients boot the wrong image, or see one twice.
//
// Two servers that repair this on their own must come to the same number, so
// IndexFor derives it from the image's content (4096 + hash mod 61440, the
// next free one if that is taken). PlanReindex does the same for several
// servers that are seen together, and keeps the numbers that are right.
//
// # Safety
//
// Names, links and plists in a share point are whatever somebody put there.
// Nothing outside the share point is read or written, whatever they say;
// sizes and numbers are bounded; credentials in a RootPath are not shown. The
// package changes one thing only: the Index, in SetIndex. It logs nothing and
// imports no other package of this module.
package nbi
