// Draws the figures of the page and moves the state with the slider.  Everything it needs stands in the page.
(function () {
  "use strict";
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const page = read("page");
  const scene = document.getElementById("scene");
  const slider = document.getElementById("depth");
  const readout = document.getElementById("readout");
  const pointer = document.getElementById("pointer");
  const play = document.getElementById("play");
  const turn = document.getElementById("turn");
  const calm = { displaylogo: false, responsive: true, displayModeBar: false };
  const overDepth = [];
  let shown = 0, playing = null, turning = false;

  function show(k) {
    shown = k;
    const now = page.shown[k];
    readout.textContent = now.text;
    slider.setAttribute("aria-valuetext", now.text);
    const jobs = [Plotly.animate(scene, [String(k)], {
      mode: "immediate", frame: { duration: 0, redraw: true }, transition: { duration: 0 },
    })];
    for (const panel of overDepth) {
      jobs.push(Plotly.relayout(panel, { "shapes[0].x0": now.depth, "shapes[0].x1": now.depth }));
    }
    return Promise.all(jobs).then(() => { scene.dataset.shown = String(k); });
  }

  // Density under the pointer: one byte a place tells the colour, and the scale its density.
  function densityAt(event) {
    const point = event.points[0], scale = page.scale;
    if (!scale || point.curveNumber !== 0) { return; }
    const lat = Math.asin(Math.max(-1, Math.min(1, point.z / Math.hypot(point.x, point.y, point.z))));
    const lon = (Math.atan2(point.y, point.x) / Math.PI * 180 + 360) % 360;
    const codes = scene._fullData[0].surfacecolor, rows = codes.length - 1, columns = codes[0].length - 1;
    const code = codes[Math.round((0.5 - lat / Math.PI) * rows)][Math.round(lon / 360 * columns)];
    const share = Math.max(0, (code - scale.first) / (255 - scale.first));
    const value = code < scale.first ? "negative: not resolved here"
      : "density ≈ " + (scale.top * Math.pow(share, 1 / scale.power)).toPrecision(2);
    pointer.textContent = value + " at latitude " + (lat / Math.PI * 180).toFixed(0) + "°, longitude " + lon.toFixed(0) + "°";
  }

  function step() {
    if (playing === null) { return; }
    slider.value = (shown + 1) % page.shown.length;
    show(Number(slider.value)).then(() => { playing = window.setTimeout(step, 250); });
  }

  function spin() {
    if (!turning) { return; }
    const camera = scene._fullLayout.scene._scene.getCamera(), angle = 0.02;
    const x = camera.eye.x, y = camera.eye.y;
    camera.eye.x = x * Math.cos(angle) - y * Math.sin(angle);
    camera.eye.y = x * Math.sin(angle) + y * Math.cos(angle);
    Plotly.relayout(scene, { "scene.camera": camera }).then(() => window.requestAnimationFrame(spin));
  }

  function press(button, on) {
    button.setAttribute("aria-pressed", String(on));
  }

  const drawn = [];
  for (const place of document.querySelectorAll(".figure")) {
    const figure = read("figure-" + place.id);
    drawn.push(Plotly.newPlot(place, figure.data, figure.layout, calm).then(() => {
      if (figure.frames && figure.frames.length) { return Plotly.addFrames(place, figure.frames); }
    }));
    if (place.dataset.overDepth === "true") { overDepth.push(place); }
  }
  Promise.all(drawn).then(() => {
    if (scene) {
      slider.addEventListener("input", () => show(Number(slider.value)));
      play.addEventListener("click", () => {
        const on = playing === null;
        if (!on) { window.clearTimeout(playing); }
        playing = on ? 0 : null;
        press(play, on);
        step();
      });
      if (turn) {
        turn.addEventListener("click", () => { turning = !turning; press(turn, turning); spin(); });
        scene.on("plotly_hover", densityAt);
        scene.on("plotly_unhover", () => { pointer.textContent = ""; });
      }
      return show(Number(slider.value));
    }
  }).then(() => { document.body.dataset.ready = "true"; });
})();
