import { at, connect, timeOf } from "./page.js";

const SHOWN = 60; // readings in a line
const rows = new Map(); // service -> { item, readings }

connect({})
  .channels("dashboard.load")
  .follow({
    event: "load",
    limit: SHOWN,
    onMessage(message) {
      at("time").textContent = timeOf(message);
      for (const [service, percent] of Object.entries(message.data)) show(service, Number(percent));
    },
    onJump: () => rows.forEach(({ readings }) => readings.splice(0)),
  });

function show(service, percent) {
  const { item, readings } = rows.get(service) ?? add(service);
  readings.push(percent);
  readings.splice(0, readings.length - SHOWN);
  item.querySelector("meter").value = percent;
  item.querySelector(".percent").textContent = `${percent.toFixed(1)} %`;
  const points = readings.map((value, index) => `${index},${100 - value}`);
  item.querySelector("polyline").setAttribute("points", points.join(" "));
}

function add(service) {
  const item = at("service").content.cloneNode(true).firstElementChild;
  item.querySelector("strong").textContent = service;
  item.querySelector("meter").ariaLabel = `Load of ${service} in percent`;
  at("services").append(item);
  rows.set(service, { item, readings: [] });
  return rows.get(service);
}
