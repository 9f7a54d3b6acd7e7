import { Effect } from "effect"
import { prometheusServers } from "/work/wt/b/test/support/servers.ts"
import { readRequest } from "/work/wt/b/src/prometheus/remoteRead/readRequest.ts"
const start = Date.UTC(2026,0,1)
const day = 86_400_000
let s = 1
const rnd = () => { s = (Math.imul(s,1103515245)+12345)>>>0; return s/4294967296 }
const N = 100
const series = Array.from({length:N},(_,n)=>{
  let v = n*1000
  return { labels:{__name__:"m", job:"api", instance:`host-${n}:9090`, n:`${n}`}, samples: Array.from({length:5760},(_,i)=>{
    if (process.env.KIND === "walk") v = Math.round((v + rnd()-0.5)*1e6)/1e6
    else if (n%2===0) v += Math.floor(rnd()*20)   // counter
    else v = Math.round(50+10*Math.sin(i/500+n)+rnd()*2)  // gauge
    return [start+i*15000, v] as const}) } })
const run = (kind) => Effect.gen(function*(){
  const server = yield* kind.make({ series, blockHours: 2 })
  const cpu = async () => Number(/^process_cpu_seconds_total (\S+)/m.exec(await (await fetch(server.baseUrl+"/metrics")).text())![1])
  const measure = async (f: () => Promise<number>) => { const REP=4; await f(); const before = await cpu(); let bytes=0; for(let i=0;i<REP;i++) bytes = await f(); return [((await cpu())-before)/REP*1000, bytes/1000] }
  for (const step of [15,60,120,300,3600]) {
    const points = Math.floor(day/1000/step)
    const win = Math.max(1,Math.min(11000,Math.floor(250_000/N)))
    const q = yield* Effect.promise(()=>measure(async()=>{ let b=0; for(let p=0;p<points;p+=win){ const r = await fetch(`${server.baseUrl}/api/v1/query_range?query=m&start=${start/1000+p*step}&end=${start/1000+(Math.min(p+win,points)-1)*step}&step=${step}`); b += (await r.arrayBuffer()).byteLength } return b }))
    const z = yield* Effect.promise(()=>measure(async()=>{ let b=0; for(let p=0;p<points;p+=win){ const r = await fetch(`${server.baseUrl}/api/v1/read`,{method:"POST",body:readRequest({matchers:[{label:"__name__",operator:"=",value:"m"}],startMillis:start+p*step*1000-300000,endMillis:start+(Math.min(p+win,points)-1)*step*1000},["chunks"])}); b += (await r.arrayBuffer()).byteLength } return b }))
    console.log(kind.name, "step",step,"stored/point",step/15,"query ms",q[0].toFixed(0),"kB",q[1].toFixed(0),"| read ms",z[0].toFixed(0),"kB",z[1].toFixed(0), "| cpu ratio",(z[0]/q[0]).toFixed(2),"bytes ratio",(z[1]/q[1]).toFixed(2))
  }
}).pipe(Effect.scoped)
await Effect.runPromise(Effect.forEach(prometheusServers, run))
